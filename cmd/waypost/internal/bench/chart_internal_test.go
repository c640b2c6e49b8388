package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// A chart is a well-formed document with a title and a description for screen readers, a unit on each axis, and colors for light and
// dark pages.
func TestChartIsReadable(t *testing.T) {
	start := time.Date(2026, 12, 1, 5, 0, 0, 0, time.UTC)
	h := histories{step: 10}
	for n := range 50 {
		queued := start.Add(time.Duration(n) * 100 * time.Millisecond)
		h.at = append(h.at, harness.MessageTimes{
			"Queued": queued, "SendAttempted": queued.Add(20 * time.Millisecond), "Sent": queued.Add(80 * time.Millisecond),
			"Delivered": queued.Add(200 * time.Millisecond), "Read": queued.Add(300 * time.Millisecond),
		})
	}
	lag := Lag{over: []lagAt{{start, 0}, {start.Add(time.Second), 40 * time.Millisecond}}}
	path := filepath.Join(t.TempDir(), "chart.svg")
	if err := writeChart(path, "bench <lifecycle>", "50 messages", plotsOf(start, h, lag)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	for _, want := range []string{
		`<title id="title">bench &lt;lifecycle&gt;</title>`, "queued, at most 100 messages/s", "queued to call, p50, at most 20 ms",
		">messages/s</text>", ">ms</text>", ">time, s</text>", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") || strings.Contains(text, "ZgotmplZ") {
		t.Errorf("the chart has values that are none: %s", text)
	}
}

func TestTicksAreRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most, count := rapid.Float64Range(1e-3, 1e9).Draw(t, "most"), rapid.IntRange(1, 20).Draw(t, "count")
		step := niceStep(most, count)
		if n := most / step; n > float64(count)*(1+1e-9) || n < float64(count)/10 {
			t.Fatalf("a step of %g makes %g ticks up to %g, want at most %d", step, n, most, count)
		}
		if mantissa := step / math.Pow(10, math.Floor(math.Log10(step)+1e-9)); math.Abs(mantissa-math.Round(mantissa)) > 1e-6 {
			t.Fatalf("a step of %g is not round", step)
		}
	})
}
