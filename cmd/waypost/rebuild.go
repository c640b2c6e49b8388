package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/cmd/waypost/internal/terminal"
)

// errDiffers ends a verification that found differences.
var errDiffers = errors.New("the read models differ from the event log; rebuild them with waypost rebuild. " +
	"A stream that is parked again needs a version of Waypost that can project it")

type rebuildCommand struct {
	AcceptShorterLog bool `help:"Accept that the event log is shorter than it was, and record the loss in it. Consumers and read models continue from what remains. Stop every process first."`
	platform.StoreSettings
}

// Run rebuilds the read models and swaps them in.
func (c rebuildCommand) Run(env *environment) (err error) {
	accept := func(*platform.Settings) {}
	if c.AcceptShorterLog {
		accept = platform.AcceptShorterLog
	}
	return withStores(env, c.StoreSettings, accept, func(ctx context.Context, st *platform.Stores, o postgres.RebuildOptions) error {
		start := time.Now()
		if c.AcceptShorterLog {
			lost, err := st.AcceptLoss(ctx)
			if err != nil {
				return err
			}
			if lost == nil {
				fmt.Fprintln(env.stdout, "the log is not shorter than it was; there is no loss to accept")
			} else {
				fmt.Fprint(env.stdout, platform.LossText(lost))
			}
			o.LogID = st.LogID.String()
		}
		done, err := postgres.Rebuild(ctx, o)
		if err != nil {
			return err
		}
		for i, after := range done.After {
			state := "as before"
			switch {
			case i >= len(done.Before):
				state = "new"
			case done.Before[i] != after:
				state = fmt.Sprintf("was %d rows, digest %s", done.Before[i].Rows, done.Before[i].Sum)
			}
			fmt.Fprintf(env.stdout, "%-20s %10d rows  digest %s  %s\n", after.Table, after.Rows, after.Sum, state)
		}
		digests := "digests equal"
		switch {
		case len(done.Before) == 0:
			digests = "no events of this log had been projected"
		case !slices.Equal(done.Before, done.After):
			digests = "digests differ: the old read models were wrong"
		}
		_, err = fmt.Fprintf(env.stdout, "rebuilt in %s; %s\n", time.Since(start).Round(time.Millisecond), digests)
		return err
	})
}

type verifyCommand struct{ platform.StoreSettings }

// Run verifies the read models against the event log.
func (c verifyCommand) Run(env *environment) error {
	return withStores(env, c.StoreSettings, platform.AnyLength, func(ctx context.Context, st *platform.Stores, o postgres.RebuildOptions) error {
		if err := st.CheckLog(ctx); err != nil {
			return err
		}
		v, err := postgres.Verify(ctx, o, func(d postgres.Difference) error {
			_, err := fmt.Fprintln(env.stdout, d)
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "%d rows compared, %d differ\n", v.Rows, v.Differences)
		if v.Differences > 0 {
			return errDiffers
		}
		return nil
	})
}

// withStores opens the stores, calls do with a progress bar on standard error, and closes the stores.
func withStores(
	env *environment, s platform.StoreSettings, change func(*platform.Settings), do func(context.Context, *platform.Stores, postgres.RebuildOptions) error,
) (err error) {
	st, err := s.Open(env.ctx, env.stderr, change)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), platform.CloseTimeout)
		defer cancel()
		err = errors.Join(err, st.Close(closing))
	}()
	log, err := platform.LogSettings{LogLevel: s.LogLevel, LogFormat: s.LogFormat}.Logger(env.stderr)
	if err != nil {
		return err
	}
	o := postgres.RebuildOptions{URL: st.PostgresURL, Log: st.Log, LogID: st.LogID.String(), Logger: log, Vault: st.Vault}
	bar, done := progress(env, "reading the log")
	defer done()
	o.OnProgress = bar
	return do(env.ctx, st, o)
}

// progress shows a bar on a terminal, and nothing elsewhere. The caller must call end.
func progress(env *environment, what string) (show func(done, all event.Position), end func()) {
	if !terminal.Is(env.stderr) {
		return func(event.Position, event.Position) {}, func() {}
	}
	p := mpb.New(mpb.WithOutput(env.stderr), mpb.WithWidth(60))
	bar := p.AddBar(0, mpb.PrependDecorators(decor.Name(what+" ")), mpb.AppendDecorators(decor.Percentage(), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)),
		mpb.BarRemoveOnComplete())
	return func(done, all event.Position) {
			bar.SetTotal(int64(all), false)
			bar.SetCurrent(int64(done))
		}, func() {
			bar.SetTotal(-1, true)
			p.Wait()
		}
}
