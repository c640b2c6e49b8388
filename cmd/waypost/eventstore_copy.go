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
)

// copyReport is how often a copy without a terminal logs how far it is.
const copyReport = 10 * time.Second

type eventstoreCopy struct {
	From string `help:"esdb://… of the event store to read, or the data folder of a platform, running or not." required:"" env:"WAYPOST_EVENTSTORE_COPY_FROM"`
	To   string `help:"esdb://… of the event store to fill: empty, or an earlier copy of the same log." required:"" env:"WAYPOST_EVENTSTORE_COPY_TO"`
	logSettings
}

// Run copies until the end of the log. Run again, it goes on from there.
func (c eventstoreCopy) Run(env *environment) (err error) {
	log, err := c.logger(env.stderr)
	if err != nil {
		return err
	}
	codec, err := newCodec()
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
	defer closeLog(env.ctx, from, &err)
	to, err := open("to", c.To)
	if err != nil {
		return err
	}
	defer closeLog(env.ctx, to, &err)

	start := time.Now()
	progress := newCopyProgress(env.stderr, log)
	copied, err := eventstore.Copy(env.ctx, eventstore.CopyOptions{
		From: from, To: to, Now: start.UTC(), Logger: log, Progress: progress.tell,
	})
	progress.end()
	if err != nil {
		if env.ctx.Err() == nil || copied.Position == copied.Start {
			return err
		}
		return fmt.Errorf("stopped after %d events; run it again to go on: %w", copied.Events, err)
	}
	_, err = fmt.Fprintf(env.stdout, "copied %d events in %s; the copy is log %s\n",
		copied.Events, time.Since(start).Round(time.Millisecond), copied.Identity)
	return err
}

// source is the URL of the event store to read. That of a data folder is served here
// for the time of the copy, unless its platform does.
func (c eventstoreCopy) source(ctx context.Context, log *slog.Logger) (url string, end func() error, err error) {
	end = func() error { return nil }
	if strings.Contains(c.From, "://") {
		return c.From, end, nil
	}
	if run, err := readRunFile(c.From); err == nil && alive(run.PID) {
		return run.Eventstore, end, nil
	}
	dir := filepath.Join(c.From, "eventstore")
	if _, err := os.Stat(dir); err != nil {
		return "", end, fmt.Errorf("%w; give esdb://… or the data folder of a platform", err)
	}
	server, err := eventstored.Open(ctx, eventstored.Options{Dir: dir, Addr: "127.0.0.1:0", Logger: log})
	if err != nil {
		return "", end, err
	}
	return server.URL(), func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return server.Close(ctx)
	}, nil
}

func closeLog(ctx context.Context, log *eventstore.Log, err *error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	*err = errors.Join(*err, log.Close(ctx))
}

// copyProgress is a bar on a terminal and a line now and then elsewhere.
type copyProgress struct {
	log  *slog.Logger
	bars *mpb.Progress // nil without a terminal
	bar  *mpb.Bar

	begun, told time.Time
	events      atomic.Int64 // the bar is drawn by a goroutine of its own
}

func newCopyProgress(w io.Writer, log *slog.Logger) *copyProgress {
	p := &copyProgress{log: log, begun: time.Now(), told: time.Now()}
	if !isTerminal(w) {
		return p
	}
	p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(60))
	// How much there is to do is known by position, so the bar and the time left
	// go by position, too; events are what a person counts in.
	p.bar = p.bars.AddBar(0,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			return fmt.Sprintf("%d events, %.0f/s ", p.events.Load(), float64(p.events.Load())/time.Since(p.begun).Seconds())
		}), decor.Percentage()),
		mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 8})))
	return p
}

func (p *copyProgress) tell(c eventstore.Copied) {
	total, done := int64(c.End-c.Start), int64(c.Position-c.Start)
	if p.bar != nil {
		p.events.Store(c.Events)
		p.bar.SetTotal(max(total, done+1), false)
		p.bar.SetCurrent(done)
		return
	}
	if time.Since(p.told) < copyReport {
		return
	}
	p.told = time.Now()
	p.log.Info("copying", "events", c.Events, "percent", 100*done/max(total, 1))
}

func (p *copyProgress) end() {
	if p.bar == nil {
		return
	}
	p.bar.SetTotal(-1, true)
	p.bars.Wait()
}
