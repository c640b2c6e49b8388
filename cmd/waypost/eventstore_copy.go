package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/cmd/waypost/internal/terminal"
)

// copyReport is the time between two log lines about the progress of a copy without a terminal.
const copyReport = 10 * time.Second

type eventstoreCopy struct {
	From string `secret:"url" help:"Event store to read (esdb://…), or the data directory of Waypost, running or stopped." required:"" env:"WAYPOST_EVENTSTORE_COPY_FROM"`
	To   string `secret:"url" help:"Event store to fill (esdb://…). It must be empty or contain an earlier copy of the same log." required:"" env:"WAYPOST_EVENTSTORE_COPY_TO"`
	platform.LogSettings
}

// Run copies up to the end of the event log. A second run continues from there.
func (c eventstoreCopy) Run(env *environment) (err error) {
	log, err := c.Logger(env.stderr)
	if err != nil {
		return err
	}
	codec, err := platform.NewCodec()
	if err != nil {
		return err
	}
	source, closeSource, err := c.source(env.ctx, log)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	open := func(name, url string) (*eventstore.Log, error) {
		opened, err := eventstore.Open(env.ctx, eventstore.Options{URL: url, Codec: codec, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", name, err)
		}
		return opened, nil
	}
	from, err := open("from", source)
	if err != nil {
		return err
	}
	defer platform.CloseLog(env.ctx, from, &err)
	to, err := open("to", c.To)
	if err != nil {
		return err
	}
	defer platform.CloseLog(env.ctx, to, &err)

	start := time.Now()
	progress := newCopyProgress(env.stderr, log)
	copied, err := eventstore.Copy(env.ctx, eventstore.CopyOptions{
		From: from, To: to, Now: start.UTC(), Logger: log, Progress: progress.show,
	})
	progress.end()
	if err != nil {
		if env.ctx.Err() == nil || copied.Position == copied.Start {
			return err
		}
		return fmt.Errorf("stopped after %d events; run the command again to continue: %w", copied.Events, err)
	}
	_, err = fmt.Fprintf(env.stdout, "copied %d events in %s; the copy is log %s\n",
		copied.Events, time.Since(start).Round(time.Millisecond), copied.Identity)
	return err
}

// source returns the URL of the event store to read. The store of a data directory is served here during the copy, unless Waypost is
// running on it.
func (c eventstoreCopy) source(ctx context.Context, log *slog.Logger) (url string, end func() error, err error) {
	end = func() error { return nil }
	if strings.Contains(c.From, "://") {
		return c.From, end, nil
	}
	run, err := platform.Running(c.From)
	if err != nil {
		return "", end, err
	}
	if run != nil {
		return run.Eventstore, end, nil
	}
	dir := filepath.Join(c.From, "eventstore")
	if _, err := os.Stat(dir); err != nil {
		return "", end, fmt.Errorf("%w; use esdb://… or the data directory of Waypost", err)
	}
	server, err := eventstored.Open(ctx, eventstored.Options{Dir: dir, Logger: log})
	if err != nil {
		return "", end, err
	}
	return server.URL(), func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), platform.CloseTimeout)
		defer cancel()
		return server.Close(ctx)
	}, nil
}

// copyProgress shows a bar on a terminal, and logs a line now and then elsewhere.
type copyProgress struct {
	log  *slog.Logger
	bars *mpb.Progress // nil without a terminal
	bar  *mpb.Bar

	begun, logged time.Time
	events        atomic.Int64 // the bar is drawn by a goroutine of its own
}

func newCopyProgress(w io.Writer, log *slog.Logger) *copyProgress {
	p := &copyProgress{log: log, begun: time.Now(), logged: time.Now()}
	if !terminal.Is(w) {
		return p
	}
	p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(60))
	// The total is known only as a position, so the bar and the remaining time use positions. Events are easier to read.
	p.bar = p.bars.AddBar(0,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			return fmt.Sprintf("%d events, %.0f/s ", p.events.Load(), float64(p.events.Load())/time.Since(p.begun).Seconds())
		}), decor.Percentage()),
		mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 8})))
	return p
}

func (p *copyProgress) show(c eventstore.Copied) {
	total, done := int64(c.End-c.Start), int64(c.Position-c.Start)
	if p.bar != nil {
		p.events.Store(c.Events)
		p.bar.SetTotal(max(total, done+1), false)
		p.bar.SetCurrent(done)
		return
	}
	if time.Since(p.logged) < copyReport {
		return
	}
	p.logged = time.Now()
	p.log.Info("copying", "events", c.Events, "percent", 100*done/max(total, 1))
}

func (p *copyProgress) end() {
	if p.bar == nil {
		return
	}
	p.bar.SetTotal(-1, true)
	p.bars.Wait()
}
