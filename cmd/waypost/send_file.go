package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

const (
	// sendBatch is how many messages a request queues, sendRequests how many
	// requests are under way.
	sendBatch    = 200
	sendRequests = 4
	// sendReport is how often a run without a terminal says how far it is.
	sendReport = 10 * time.Second
)

// sendFile queues the messages of a file. Which were queued before only the
// platform knows, by their keys: nothing is kept beside the file, and a run that
// was cut off at any moment is made good by another.
type sendFile struct {
	path     string
	campaign string
	defaults map[string]string
	queue    *sendQueue

	mu                      sync.Mutex
	rejected                *rejectedFile
	queued, before, rejects int
	fault                   error
	progress                *sendProgress
}

func (f *sendFile) send(env *environment) (err error) {
	format := formatOf(f.path)
	total, err := countLines(f.path, format)
	if err != nil {
		return err
	}
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines, err := newLineReader(file, format, f.campaign, f.defaults)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.rejected = &rejectedFile{beside: f.path, format: format, header: lines.header}
	if lines.csv != nil {
		f.rejected.comma = lines.csv.Comma
	}
	f.progress = newSendProgress(env.stderr, total)
	err = f.sendLines(env.ctx, lines)
	f.progress.end()
	err = errors.Join(err, f.rejected.close())
	fmt.Fprintf(env.stdout, "%d of %d lines: %d queued, %d queued before, %d refused\n",
		f.queued+f.before+f.rejects, total, f.queued, f.before, f.rejects)
	switch {
	case err != nil:
		return err
	case f.rejects > 0:
		return fmt.Errorf("%d lines were refused; mend and send %s, which says why", f.rejects, f.rejected.path)
	}
	return nil
}

// sendLines hands the lines over in batches. When ctx ends, or a batch fails, no
// further batch begins and those under way are waited for.
func (f *sendFile) sendLines(ctx context.Context, lines *lineReader) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, sendRequests)
	for end := false; !end; {
		batch, err := f.batch(lines)
		if end = errors.Is(err, io.EOF); err != nil && !end {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return errInterrupted
		}
		if f.failed() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			f.sendBatch(ctx, batch)
		})
	}
	wg.Wait()
	err := f.failed()
	if errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	return err
}

// errInterrupted is no end of the command: lines are left.
var errInterrupted = errors.New("it was interrupted; run the same command again to go on")

func (f *sendFile) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault
}

// batch reads lines that can be sent; io.EOF comes with the last of them. Lines
// that cannot be sent are refused at once.
func (f *sendFile) batch(lines *lineReader) ([]*sendLine, error) {
	batch := make([]*sendLine, 0, sendBatch)
	for len(batch) < sendBatch {
		line, err := lines.next()
		if err != nil {
			return batch, err
		}
		if line.problem == nil {
			batch = append(batch, line)
			continue
		}
		f.mu.Lock()
		err = f.reject(line, &sendRefusal{Code: "INVALID_INPUT", Message: line.problem.Error()})
		f.progress.show(f.queued, f.before, f.rejects)
		f.mu.Unlock()
		if err != nil {
			return batch, err
		}
	}
	return batch, nil
}

// reject writes a refused line down; f.mu is held.
func (f *sendFile) reject(line *sendLine, why *sendRefusal) error {
	f.rejects++
	return f.rejected.add(line, why)
}

func (f *sendFile) sendBatch(ctx context.Context, batch []*sendLine) {
	if len(batch) == 0 {
		return
	}
	inputs := make([]map[string]any, len(batch))
	for i, line := range batch {
		inputs[i] = line.input
	}
	answers, err := f.queue.send(ctx, inputs)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, a := range answers {
		switch {
		case a.refusal != nil:
			err = errors.Join(err, f.reject(batch[i], a.refusal))
		case a.replayed:
			f.before++
		default:
			f.queued++
		}
	}
	if err != nil && f.fault == nil {
		f.fault = err
	}
	f.progress.show(f.queued, f.before, f.rejects)
}

// sendProgress is a bar on a terminal and a line now and then elsewhere.
type sendProgress struct {
	out   io.Writer
	bars  *mpb.Progress // nil without a terminal
	bar   *mpb.Bar
	total int
	told  time.Time

	mu   sync.Mutex // the bar is drawn by a goroutine of its own
	text string
}

func newSendProgress(out io.Writer, total int) *sendProgress {
	p := &sendProgress{out: out, total: total, told: time.Now()}
	if !isTerminal(out) {
		return p
	}
	p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(40))
	p.bar = p.bars.AddBar(int64(total),
		mpb.PrependDecorators(decor.CountersNoUnit("%d/%d ")),
		mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO), decor.Any(func(decor.Statistics) string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.text
		})))
	return p
}

func (p *sendProgress) show(queued, before, rejected int) {
	done := queued + before + rejected
	text := fmt.Sprintf(" %d queued, %d queued before, %d refused", queued, before, rejected)
	if p.bar != nil {
		p.mu.Lock()
		p.text = text
		p.mu.Unlock()
		p.bar.SetCurrent(int64(done))
		return
	}
	if time.Since(p.told) >= sendReport {
		p.told = time.Now()
		fmt.Fprintf(p.out, "%d of %d lines:%s\n", done, p.total, text)
	}
}

func (p *sendProgress) end() {
	if p.bar == nil {
		return
	}
	p.bar.Abort(false) // no effect on a bar that is complete
	p.bars.Wait()
}
