package bench

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// The chart is drawn by a template of its own: three lines with axes. A library for charts would be a large dependency of a server
// program, and the ones looked at draw no titles for screen readers and no colors for dark pages.

//go:embed chart.svg.tmpl
var chartText string

var chartTemplate = template.Must(template.New("chart").Parse(chartText))

// The size of the chart and of the plots in it, in pixels.
const (
	chartWidth = 860
	plotLeft   = 80
	plotWidth  = 740
	plotHeight = 150
	plotsTop   = 90
	plotPitch  = 230
	xTicks     = 8
	yTicks     = 4
)

// point is a value at a time since the start of the load.
type point struct {
	at    time.Duration
	value float64
}

// series is a line of a plot.
type series struct {
	name   string
	points []point
}

// plot is one of the diagrams of a chart.
type plot struct {
	title, unit string
	lines       []series
}

// drawnPlot, drawnLine, and tick are what the template draws.
type (
	drawnPlot struct {
		Top, Middle, Bottom   int
		Title, Unit, Describe string
		Lines                 []drawnLine
		Ticks                 []tick
	}
	drawnLine struct {
		Name, Points     string
		Class, LegendX   int
		LegendY, LegendT int
	}
	tick struct {
		At   float64
		Text string
	}
)

// writeChart draws plots over the same time axis to the file at path.
func writeChart(path, title, conditions string, plots []plot) (err error) {
	var end time.Duration
	for _, p := range plots {
		for _, l := range p.lines {
			for _, at := range l.points {
				end = max(end, at.at)
			}
		}
	}
	step := niceStep(max(end.Seconds(), 1), xTicks)
	last := step * math.Ceil(max(end.Seconds(), 1)/step)
	chart := struct {
		Width, Height, Left, Right int
		Title, Conditions          string
		Plots                      []drawnPlot
		Seconds                    []tick
	}{
		Width: chartWidth, Height: plotsTop + len(plots)*plotPitch, Left: plotLeft, Right: plotLeft + plotWidth, Title: title, Conditions: conditions,
	}
	for at := 0.0; at <= last+step/2; at += step {
		chart.Seconds = append(chart.Seconds, tick{plotLeft + at/last*plotWidth, fmt.Sprintf("%g", at)})
	}
	for i, p := range plots {
		chart.Plots = append(chart.Plots, p.draw(plotsTop+i*plotPitch, last))
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--svg: %w", err)
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	return chartTemplate.Execute(f, chart)
}

// draw places a plot at top. The time axis ends at last seconds.
func (p plot) draw(top int, last float64) drawnPlot {
	most := 0.0
	for _, l := range p.lines {
		for _, at := range l.points {
			most = max(most, at.value)
		}
	}
	if most == 0 {
		most = 1
	}
	step := niceStep(most, yTicks)
	highest := step * math.Ceil(most/step)
	bottom := float64(top + plotHeight)
	d := drawnPlot{Top: top, Middle: top + plotHeight/2, Bottom: top + plotHeight, Title: p.title, Unit: p.unit}
	for v := 0.0; v <= highest+step/2; v += step {
		d.Ticks = append(d.Ticks, tick{bottom - v/highest*plotHeight, fmt.Sprintf("%g", math.Round(v*1e6)/1e6)})
	}
	x := plotLeft
	for i, l := range p.lines {
		var points strings.Builder
		peak := 0.0
		for _, at := range l.points {
			fmt.Fprintf(&points, "%.1f,%.1f ", plotLeft+at.at.Seconds()/last*plotWidth, bottom-at.value/highest*plotHeight)
			peak = max(peak, at.value)
		}
		d.Lines = append(d.Lines, drawnLine{l.name, points.String(), i, x, top - 14, x + 26})
		x += 50 + 8*len(l.name)
		d.Describe += fmt.Sprintf("%s, at most %.0f %s. ", l.name, peak, p.unit)
	}
	return d
}

// niceStep returns a round distance, 1, 2, or 5 times a power of ten, for at most count ticks up to most.
func niceStep(most float64, count int) float64 {
	raw := most / float64(count)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, nice := range []float64{1, 2, 5} {
		if raw <= nice*power {
			return nice * power
		}
	}
	return 10 * power
}

// chartBuckets is the number of parts of the time axis for which rates and percentiles are drawn.
const chartBuckets = 40

// plotsOf returns the plots of a load that began at start: from the histories of its messages and the lag of the read models.
func plotsOf(start time.Time, h histories, lag Lag) []plot {
	var end time.Duration
	for _, at := range h.at {
		end = max(end, at["Read"].Sub(start))
	}
	width := max(end/chartBuckets, 500*time.Millisecond)
	rate := func(name, event string) series {
		counts := make([]int, int(end/width)+1)
		for _, at := range h.at {
			if since := at[event].Sub(start); !at[event].IsZero() && since >= 0 && since <= end {
				counts[since/width]++
			}
		}
		s := series{name: name}
		for i, n := range counts {
			s.points = append(s.points, point{time.Duration(i)*width + width/2, float64(n*h.step) / width.Seconds()})
		}
		return s
	}
	var behind series
	behind.name = "read models behind the event log"
	for _, at := range lag.over {
		behind.points = append(behind.points, point{at.at.Sub(start), at.behind.Seconds() * 1000})
	}
	return []plot{
		{"Throughput", "messages/s", []series{rate("queued", "Queued"), rate("called", "SendAttempted"), rate("read", "Read")}},
		{"Lag", "ms", []series{behind}},
		{"Latency by the time of queueing", "ms", []series{
			h.latency(start, width, "queued to call, p50", "Queued", "SendAttempted", 50), h.latency(start, width, "queued to call, p95", "Queued", "SendAttempted", 95),
			h.latency(start, width, "sent to delivered, p95", "Sent", "Delivered", 95),
		}},
	}
}

// latency returns a percentile of the time between two events, by the time at which the messages were queued.
func (h histories) latency(start time.Time, width time.Duration, name, from, to string, q float64) series {
	buckets := make(map[int]Latencies)
	for _, at := range h.at {
		if at[from].IsZero() || at[to].IsZero() {
			continue
		}
		i := int(at["Queued"].Sub(start) / width)
		if _, found := buckets[i]; !found {
			buckets[i] = newLatencies()
		}
		buckets[i].record(at[to].Sub(at[from]))
	}
	s := series{name: name}
	for i, l := range buckets {
		s.points = append(s.points, point{time.Duration(i)*width + width/2, float64(l.h.ValueAtQuantile(q)) / 1000})
	}
	slices.SortFunc(s.points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	return s
}
