// Package send queues the messages of CSV and JSONL files through the GraphQL API.
package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/waypost/waypost/cmd/waypost/internal/terminal"
)

const (
	// sendBatch is the number of messages in a request, and sendRequests the maximum number of requests in flight.
	sendBatch    = 200
	sendRequests = 4
	// sendReport is the time between two lines about the progress without a terminal.
	sendReport = 10 * time.Second
)

// File queues the messages of a file. Only Waypost knows which of them were queued before, by their keys. Nothing is stored next to the
// file, and a run that was interrupted at any time can be repeated.
type File struct {
	Source   *Source
	Format   Format
	Campaign string
	Defaults map[string]string
	Queue    *Queue

	rejected                *rejectedFile // nil for a dry run
	queued, before, rejects int
	// kinds counts the messages that a dry run would queue, by kind.
	kinds    map[string]int
	progress *progress
	notes    io.Writer
}

// maxNotes is the maximum number of refused lines that a dry run lists.
const maxNotes = 100

// Send queues the messages and prints the result to stdout, and progress and problems to stderr.
func (f *File) Send(ctx context.Context, stdout, stderr io.Writer) error {
	f.notes = stderr
	total, blank, err := countLines(f.Source, f.Format)
	if err != nil {
		return err
	}
	if n := len(blank); n > 0 {
		fmt.Fprintf(f.notes, "blank lines are skipped: %d, at line %s\n", n, listed(blank))
	}
	secret, err := f.Queue.idempotencySecret(ctx)
	if err != nil {
		return err
	}
	text, err := f.Source.text()
	if err != nil {
		return err
	}
	lines, err := newLineReader(text, f.Format, newLineKeys(f.Campaign, secret), f.Defaults)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Source.name, err)
	}
	if f.Queue.Check {
		f.kinds = make(map[string]int)
	} else {
		f.rejected = newRejectedFile(f.Source, f.Format, lines)
	}
	f.progress = newProgress(stderr, total)
	err = f.sendLines(ctx, lines)
	f.progress.end()
	if f.Queue.Check {
		return f.report(stdout, total, err)
	}
	err = errors.Join(err, f.rejected.close())
	fmt.Fprintf(stdout, "%d of %d lines: %d queued, %d queued before, %d refused\n",
		f.queued+f.before+f.rejects, total, f.queued, f.before, f.rejects)
	switch {
	case err != nil:
		return err
	case f.rejects > 0:
		return fmt.Errorf("%d lines were refused; fix and send %s, which says why", f.rejects, f.rejected.path)
	}
	return nil
}

// listed returns line numbers as text. If there are many, it returns only the first ones.
func listed(lines []int) string {
	const most = 10
	var text []string
	for _, n := range lines[:min(len(lines), most)] {
		text = append(text, strconv.Itoa(n))
	}
	if len(lines) > most {
		text = append(text, "…")
	}
	return strings.Join(text, ", ")
}

// report prints the result of a dry run.
func (f *File) report(out io.Writer, total int, err error) error {
	fmt.Fprintf(out, "%d of %d lines: %d would be queued, %d queued before, %d would be refused\n",
		f.queued+f.before+f.rejects, total, f.queued, f.before, f.rejects)
	for _, kind := range slices.Sorted(maps.Keys(f.kinds)) {
		fmt.Fprintf(out, "  %d × %s\n", f.kinds[kind], kind)
	}
	if err == nil && f.rejects > 0 {
		err = fmt.Errorf("%d lines would be refused; fix them, then send the file", f.rejects)
	}
	return err
}

// batchResult is the outcome of one batch.
type batchResult struct {
	lines   []*sendLine
	answers []Answer // of the lines without a problem, in their order
	err     error
}

// sendLines sends the lines in batches, and records their outcomes in the order
// of the lines. When ctx ends, or a batch fails, no further batch begins, and
// those in flight are waited for.
func (f *File) sendLines(ctx context.Context, lines *lineReader) error {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	var reading error // until results is closed, the reader's
	results := make(chan chan batchResult, sendRequests-1)
	go func() {
		defer close(results)
		reading = f.startBatches(sending, lines, results)
	}()
	var fault error
	for result := range results {
		r := <-result
		if err := f.record(r); err != nil && fault == nil {
			fault = err
			stop()
		}
	}
	switch {
	case errors.Is(fault, context.Canceled), fault == nil && errors.Is(reading, context.Canceled):
		return errInterrupted
	case fault != nil:
		return fault
	case reading != nil:
		return fmt.Errorf("%s: %w", f.Source.name, reading)
	}
	return nil
}

// startBatches starts to send batches until the lines or ctx end, each with a
// place in results for its outcome. results bounds how many are in flight.
func (f *File) startBatches(ctx context.Context, lines *lineReader, results chan<- chan batchResult) error {
	for {
		batch, err := nextBatch(lines)
		if len(batch) > 0 {
			result := make(chan batchResult, 1)
			select {
			case results <- result:
			case <-ctx.Done():
				return ctx.Err()
			}
			go func() { result <- f.sendBatch(ctx, batch) }()
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// errInterrupted is no end of the command: lines are left.
var errInterrupted = errors.New("interrupted; run the same command again to continue")

// nextBatch reads lines; io.EOF comes with the last of them.
func nextBatch(lines *lineReader) ([]*sendLine, error) {
	batch := make([]*sendLine, 0, sendBatch)
	for len(batch) < sendBatch {
		line, err := lines.next()
		if err != nil {
			return batch, err
		}
		batch = append(batch, line)
	}
	return batch, nil
}

// sendBatch sends the lines that can be sent.
func (f *File) sendBatch(ctx context.Context, batch []*sendLine) batchResult {
	inputs := make([]map[string]any, 0, len(batch))
	for _, line := range batch {
		if line.problem == nil {
			inputs = append(inputs, line.input)
		}
	}
	r := batchResult{lines: batch}
	if len(inputs) > 0 {
		r.answers, r.err = f.Queue.Send(ctx, inputs)
	}
	return r
}

// record counts the results of a batch and writes refused lines to the file of refused lines.
func (f *File) record(r batchResult) error {
	err, answers := r.err, r.answers
	for _, line := range r.lines {
		switch {
		case line.problem != nil:
			err = errors.Join(err, f.reject(line, &Refusal{Code: "INVALID_INPUT", Message: line.problem.Error()}))
			continue
		case len(answers) == 0: // the batch failed
			continue
		}
		a := answers[0]
		answers = answers[1:]
		switch {
		case a.Refusal != nil:
			err = errors.Join(err, f.reject(line, a.Refusal))
		case a.Replayed:
			f.before++
		default:
			f.queued++
			if f.kinds != nil {
				f.kinds[kindOf(line.input)]++
			}
		}
	}
	f.progress.show(f.queued, f.before, f.rejects)
	return err
}

// reject records a refused line.
func (f *File) reject(line *sendLine, why *Refusal) error {
	f.rejects++
	if f.rejected != nil {
		return f.rejected.add(line, why)
	}
	if f.rejects <= maxNotes {
		fmt.Fprintf(f.notes, "line %d: %s\n", line.number, why)
	} else if f.rejects == maxNotes+1 {
		fmt.Fprintln(f.notes, "further lines are not listed")
	}
	return nil
}

// kindOf describes a message without its recipient and text.
func kindOf(input map[string]any) string {
	kind := "message"
	content, _ := input["content"].(map[string]any)
	for name, value := range content {
		kind = name
		if template, ok := value.(map[string]any); ok && name == "template" {
			kind = fmt.Sprintf("template %v (%v)", template["name"], template["language"])
		}
	}
	if priority := input["priority"]; priority != nil {
		kind += fmt.Sprintf(", %v", priority)
	}
	if at := input["sendAt"]; at != nil {
		kind += fmt.Sprintf(", at %v", at)
	}
	return fmt.Sprintf("%s from %v", kind, input["senderId"])
}

// progress shows a bar on a terminal, and prints a line now and then elsewhere.
type progress struct {
	out   io.Writer
	bars  *mpb.Progress // nil without a terminal
	bar   *mpb.Bar
	total int
	shown time.Time // when the last line was printed

	mu   sync.Mutex // the bar is drawn by a goroutine of its own
	text string
}

func newProgress(out io.Writer, total int) *progress {
	p := &progress{out: out, total: total, shown: time.Now()}
	if !terminal.Is(out) {
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

func (p *progress) show(queued, before, rejected int) {
	done := queued + before + rejected
	text := fmt.Sprintf(" %d queued, %d queued before, %d refused", queued, before, rejected)
	if p.bar != nil {
		p.mu.Lock()
		p.text = text
		p.mu.Unlock()
		p.bar.SetCurrent(int64(done))
		return
	}
	if time.Since(p.shown) >= sendReport {
		p.shown = time.Now()
		fmt.Fprintf(p.out, "%d of %d lines:%s\n", done, p.total, text)
	}
}

func (p *progress) end() {
	if p.bar == nil {
		return
	}
	p.bar.Abort(false) // no effect on a bar that is complete
	p.bars.Wait()
}
