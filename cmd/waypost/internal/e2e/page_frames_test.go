package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

const (
	// frames is the variable that asks for TestPageDrawsWithoutDroppedFrames: `make frames`.
	frames        = "PAGE_FRAMES"
	framesSenders = 50
	framesTicks   = 5           // batches per second
	frameLength   = 1000.0 / 60 // ms
	// framesUpdates is about the number of updates per message: queued, attempted, sent, delivered, and read.
	framesUpdates = 5
)

// The web UI with 50 senders: how soon it is painted, and its frames, at 60 updates per second and at more. The frames of an empty page, with the same load on the
// machine, are the scale for those of the views: Chromium shares the cores with Waypost and its stores. The times of the main
// thread are CPU times, so they depend less on that.
func TestPageDrawsWithoutDroppedFrames(t *testing.T) { //nolint:paralleltest // a measurement
	if os.Getenv(frames) == "" {
		t.Skip("a measurement: make frames")
	}
	ctx := t.Context()
	b := startBrowser(ctx, t)
	r := e2etest.Start(ctx, t, nil, nil)
	for i := range framesSenders {
		if err := r.Client.RegisterSender(ctx, fmt.Sprintf("sender-%02d", i), fmt.Sprintf("1000000%04d", i), 80); err != nil {
			t.Fatal(err)
		}
	}
	b.run(t, "open the page", performance.Enable().WithTimeDomain(performance.EnableTimeDomainThreadTicks), network.Enable(), chromedp.Navigate("http://"+r.Addr+"/"))
	b.fill(t, "#key", harness.AdminKey)
	b.click(t, "#sign-in-form button[type=submit]")
	b.await(t, "the senders", fmt.Sprintf(`document.querySelectorAll("#queues th[scope=row]").length === %d`, framesSenders))
	paints := make([]float64, 5)
	for i := range paints {
		b.run(t, "open the page again", chromedp.Reload())
		b.await(t, "the senders", fmt.Sprintf(`document.querySelectorAll("#queues th[scope=row]").length === %d`, framesSenders))
		b.run(t, "read when it was painted", chromedp.Evaluate(`performance.getEntriesByName("first-contentful-paint")[0].startTime`, &paints[i]))
	}
	slices.Sort(paints)
	t.Logf("first contentful paint: %.0f ms, median of %d; %.0f to %.0f ms", paints[len(paints)/2], len(paints), paints[0], paints[len(paints)-1])
	var received atomic.Int64
	chromedp.ListenTarget(b.ctx, func(event any) {
		if e, ok := event.(*network.EventWebSocketFrameReceived); ok && strings.Contains(e.Response.PayloadData, `"messageUpdates"`) {
			received.Add(1)
		}
	})
	t.Logf("%-10s %9s %8s %8s %8s %9s   CPU of the main thread: ms per second of %s; the longest task, and those longer than a frame", "view", "updates/s", "frames/s", "dropped",
		"longest", "tasks>50", "all, script, style, layout")
	for _, updates := range []int{0, 60, 300} {
		t.Logf("%d updates per second offered:", updates)
		load, end := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- queueSteadily(load, r.Client, updates/framesUpdates, updates) }()
		for _, view := range []struct{ name, hash string }{
			{"empty", ""}, {"overview", "#/?window=5m"}, {"messages", "#/messages"}, {"senders", "#/senders"},
		} {
			if view.hash == "" {
				b.run(t, "open an empty page", chromedp.Navigate("about:blank"))
			} else {
				b.run(t, "open "+view.name, chromedp.Navigate("http://"+r.Addr+"/"+view.hash))
				b.await(t, view.name, `document.querySelector("main h2") !== null && !document.querySelector("main").innerText.includes("Loading…")`)
			}
			m := b.measure(t, &received)
			t.Logf("%-10s %9.0f %8.1f %8d %6.0fms %9d   %.1f, %.1f, %.1f, %.1f; %.1f ms, %d", view.name, m.updates, m.FPS, m.Dropped, m.Longest, m.LongTasks,
				m.cpu["TaskDuration"], m.cpu["ScriptDuration"], m.cpu["RecalcStyleDuration"], m.cpu["LayoutDuration"], m.longestCPU, m.overCPU)
			if m.FPS == 0 || m.longestCPU == 0 {
				t.Errorf("%s draws no frames", view.name)
			}
		}
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	b.quiet(t)
}

// queueSteadily queues messages of all senders at a rate until ctx ends.
func queueSteadily(ctx context.Context, client *harness.Client, perSecond, run int) error {
	if perSecond == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(time.Second / framesTicks)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		inputs := make([]map[string]any, max(1, perSecond/framesTicks))
		for i := range inputs {
			inputs[i] = harness.Message(fmt.Sprintf("sender-%02d", n%framesSenders), fmt.Sprintf("frames-%d-%d", run, n), n)
			n++
		}
		if _, err := client.QueueMessages(ctx, inputs); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// drawn is how a page was drawn for some seconds.
type drawn struct {
	FPS, Longest       float64 // frames per second; the longest time between two in ms
	Dropped, LongTasks int

	updates float64            // received per second
	cpu     map[string]float64 // ms per second, by the names of Performance.getMetrics
	// The CPU time of the longest task in ms, and the number of tasks that took more than a frame.
	longestCPU float64
	overCPU    int
}

// measure records the frames of the open page for some seconds.
func (b *browser) measure(t *testing.T, received *atomic.Int64) drawn {
	t.Helper()
	const warmUp, seconds = 2, 10
	const record = `new Promise(resolve => {
		const times = [], tasks = [];
		const observer = new PerformanceObserver(list => tasks.push(...list.getEntries().map(entry => entry.duration)));
		observer.observe({ type: "longtask" });
		const frame = now => {
			times.push(now);
			if (now - times[0] < %d * 1000) return requestAnimationFrame(frame);
			observer.disconnect();
			const between = times.slice(1).map((time, i) => time - times[i]);
			resolve({
				FPS: between.length / (now - times[0]) * 1000, Longest: Math.max(...between), LongTasks: tasks.length,
				Dropped: between.reduce((sum, ms) => sum + Math.max(0, Math.round(ms / (1000 / 60)) - 1), 0),
			});
		};
		requestAnimationFrame(frame);
	})`
	var m drawn
	metrics := func() map[string]float64 {
		found := map[string]float64{}
		b.run(t, "read the metrics", chromedp.ActionFunc(func(ctx context.Context) error {
			all, err := performance.GetMetrics().Do(ctx)
			for _, metric := range all {
				found[metric.Name] = metric.Value
			}
			return err
		}))
		return found
	}
	recordFor := func(seconds int) {
		b.run(t, "record frames", chromedp.Evaluate(fmt.Sprintf(record, seconds), &m, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	}
	recordFor(warmUp) // the first drawing of the view is not about its updates
	before, updates := metrics(), received.Load()
	begin := time.Now()
	tasks := b.trace(t, func() { recordFor(seconds) })
	took := time.Since(begin).Seconds()
	m.updates, m.cpu = float64(received.Load()-updates)/took, map[string]float64{}
	for _, ms := range tasks {
		m.longestCPU = max(m.longestCPU, ms)
		if ms > frameLength {
			m.overCPU++
		}
	}
	for name, after := range metrics() {
		m.cpu[name] = (after - before[name]) * 1000 / took
	}
	return m
}

// trace returns the CPU times in ms of all tasks of the page's main thread while doing runs.
func (b *browser) trace(t *testing.T, doing func()) []float64 {
	t.Helper()
	type event struct {
		Name, Ph string
		PID, TID int
		TDur     float64
		Args     struct{ Name string }
	}
	var (
		mu     sync.Mutex
		events []event
	)
	complete := make(chan struct{})
	listening, end := context.WithCancel(b.ctx)
	defer end()
	chromedp.ListenTarget(listening, func(e any) {
		switch e := e.(type) {
		case *tracing.EventDataCollected:
			mu.Lock()
			defer mu.Unlock()
			for _, value := range e.Value {
				var one event
				if err := json.Unmarshal(value, &one); err == nil && (one.Ph == "X" && strings.HasSuffix(one.Name, "::RunTask") || one.Name == "thread_name") {
					events = append(events, one)
				}
			}
		case *tracing.EventTracingComplete:
			close(complete)
		}
	})
	b.run(t, "start to trace", tracing.Start().WithTransferMode(tracing.TransferModeReportEvents).WithTraceConfig(&tracing.TraceConfig{IncludedCategories: []string{"toplevel"}}))
	doing()
	b.run(t, "end the trace", tracing.End())
	select {
	case <-complete:
	case <-t.Context().Done():
		t.Fatal("the trace is not complete")
	}
	mu.Lock()
	defer mu.Unlock()
	// The page's main thread is the busiest one of the renderers.
	type thread struct{ pid, tid int }
	tasks, sums, main := map[thread][]float64{}, map[thread]float64{}, map[thread]bool{}
	for _, e := range events {
		at := thread{e.PID, e.TID}
		if e.Name == "thread_name" {
			main[at] = e.Args.Name == "CrRendererMain"
			continue
		}
		tasks[at], sums[at] = append(tasks[at], e.TDur/1000), sums[at]+e.TDur
	}
	var busiest thread
	for at, sum := range sums {
		if main[at] && sum > sums[busiest] {
			busiest = at
		}
	}
	return tasks[busiest]
}
