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
)

// errDiffers ends a verification that found differences.
var errDiffers = errors.New("the read models are not as the log has them; build them again with waypost rebuild")

type rebuildCommand struct{ storeSettings }

// Run builds the read models again and puts them in place of the live ones.
func (c rebuildCommand) Run(env *environment) (err error) {
	return c.withStores(env, func(ctx context.Context, o postgres.RebuildOptions) error {
		start := time.Now()
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
			digests = "nothing of this log had been projected"
		case !slices.Equal(done.Before, done.After):
			digests = "digests differ: the old read models were wrong"
		}
		_, err = fmt.Fprintf(env.stdout, "rebuilt in %s; %s\n", time.Since(start).Round(time.Millisecond), digests)
		return err
	})
}

type verifyCommand struct{ storeSettings }

// Run folds the log and holds the read models against it.
func (c verifyCommand) Run(env *environment) error {
	return c.withStores(env, func(ctx context.Context, o postgres.RebuildOptions) error {
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

// withStores opens the stores, runs do with a progress bar on standard error, and
// closes them.
func (s storeSettings) withStores(env *environment, do func(context.Context, postgres.RebuildOptions) error) (err error) {
	st, err := s.open(env.ctx, env)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, st.close(closing))
	}()
	log, err := logSettings{LogLevel: s.LogLevel, LogFormat: s.LogFormat}.logger(env.stderr)
	if err != nil {
		return err
	}
	o := postgres.RebuildOptions{URL: st.postgresURL, Log: st.log, LogID: st.logID.String(), Logger: log, Vault: st.vault}
	bar, done := progress(env, "reading the log")
	defer done()
	o.OnProgress = bar
	return do(env.ctx, o)
}

// progress shows a bar on a terminal and nothing elsewhere.
func progress(env *environment, what string) (show func(done, all event.Position), end func()) {
	if !isTerminal(env.stderr) {
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
