package trace_test

import (
	"context"
	"strings"
	"testing"

	"github.com/waypost/waypost/app/trace"
)

func TestParentKeepsNothingButATraceparent(t *testing.T) {
	t.Parallel()
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if got := trace.ParseTraceparent(good); got != good {
		t.Errorf("%q; want it as it came", got)
	}
	for name, bad := range map[string]string{
		"nothing":             "",
		"a phone number":      "+919812345670",
		"too short":           good[:54],
		"more behind it":      good + "-what-only-a-newer-version-has",
		"upper case":          strings.ToUpper(good),
		"no trace":            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"no span":             "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"version ff":          "ff" + good[2:],
		"words in the middle": "00-4bf92f3577b34da6-hello-world-736-00f067aa0ba902b7-01",
		"words in the flags":  good[:53] + "zz",
		"a dash in the trace": good[:10] + "-" + good[11:],
	} {
		if got := trace.ParseTraceparent(bad); got != "" {
			t.Errorf("%s: %q; want nothing", name, got)
		}
	}
}

// traced makes the spans that the path of a message makes.
func traced(ctx context.Context, t *trace.Tracer) (string, bool) {
	ctx, span := t.Begin(ctx, trace.Start{Kind: trace.Consumer, Name: "send message"})
	defer span.End()
	span.SetString("waypost.message.id", "0193")
	span.SetInt("waypost.call", 1)
	_, inner := t.Begin(span.ContextWithSpan(ctx), trace.Start{Kind: trace.Client, Name: "POST"})
	inner.SetError("lost")
	inner.End()
	return span.Traceparent(), span.IsRecording()
}

func TestNoTracerCostsNoAllocation(t *testing.T) {
	if trace.New(nil) != nil {
		t.Error("a tracer without a recorder is on")
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if parent, on := traced(ctx, nil); parent != "" || on {
			t.Error("something is traced")
		}
	}); n != 0 {
		t.Errorf("%v allocations; want none", n)
	}
}

// BenchmarkOff measures two spans on the hot path while tracing is off.
func BenchmarkOff(b *testing.B) {
	b.ReportAllocs()
	ctx := b.Context()
	for b.Loop() {
		traced(ctx, nil)
	}
}
