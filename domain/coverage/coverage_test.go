package coverage_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain/coverage"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestADayOfWebhooksMakesAWindowKnown(t *testing.T) {
	r := coverage.Recording{}.Resume(time.Time{}, start)
	n := coverage.Number{}.Hear(start.Add(time.Hour))
	c := coverage.Coverage{Recording: r, Number: n}
	if at := start.Add(24 * time.Hour); c.Known(at) {
		t.Error("it is known before the number has a day of webhooks")
	}
	if at := start.Add(25 * time.Hour); !c.Known(at) {
		t.Errorf("it is known from %s, not at %s", c.KnownFrom(at), at)
	}
	if at := start.Add(25*time.Hour + 1); c.Known(at) {
		t.Error("it is known of a number without a webhook for a day")
	}
	c.Number = n.Hear(start.Add(20 * time.Hour))
	if at := start.Add(40 * time.Hour); !c.Known(at) {
		t.Error("it is not known of a number that has webhooks every day")
	}
	c.Number = c.Number.Hear(start.Add(45 * time.Hour))
	if at := start.Add(46 * time.Hour); c.Known(at) {
		t.Error("it is known of a number that had no webhook for more than a day")
	}
}

func TestANumberWithoutWebhooksIsNeverKnown(t *testing.T) {
	c := coverage.Coverage{Recording: coverage.Recording{}.Resume(time.Time{}, start)}
	if c.Known(start.Add(1000 * time.Hour)) {
		t.Error("a number that had no webhook is known")
	}
}

func TestAShortBreakIsBridged(t *testing.T) {
	r := coverage.Recording{}.Resume(time.Time{}, start)
	later := start.Add(48 * time.Hour)
	short := r.Resume(later.Add(-3*time.Second), later)
	if !short.Since.Equal(start) || !short.BridgedAt.Equal(later.Add(24*time.Second)) {
		t.Errorf("after a break of 3 s: since %s, bridged at %s", short.Since, short.BridgedAt)
	}
	if again := short.Resume(later, later.Add(time.Second)); !again.BrokeAt.Equal(short.BrokeAt) || !again.BridgedAt.Equal(later.Add(28*time.Second)) {
		t.Errorf("a second break within the bridge: since %s, bridged at %s", again.BrokeAt, again.BridgedAt)
	}
	if long := r.Resume(later.Add(-time.Minute-1), later); !long.Since.Equal(later) {
		t.Errorf("after a break of more than a minute: since %s", long.Since)
	}
}

// A webhook that was refused during breaks comes again before they are bridged, if the pauses
// between its deliveries double, up to a minute.
func TestARefusedWebhookComesBeforeTheBreaksAreBridged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := coverage.Recording{}.Resume(time.Time{}, start.Add(-48*time.Hour))
		type span struct{ from, to time.Time }
		var breaks []span
		at := start
		for range rapid.IntRange(1, 8).Draw(t, "breaks") {
			b := span{from: at, to: at.Add(time.Duration(rapid.Int64Range(0, int64(coverage.MaxBreak)).Draw(t, "break")))}
			breaks = append(breaks, b)
			r = r.Resume(b.from, b.to)
			at = b.to.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "recording")))
		}
		refused := func(at time.Time) bool {
			for _, b := range breaks {
				if !at.Before(b.from) && !at.After(b.to) {
					return true
				}
			}
			return false
		}
		hangs := time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "each delivery takes"))
		came := breaks[0].from.Add(time.Duration(rapid.Int64Range(0, int64(breaks[0].to.Sub(breaks[0].from))).Draw(t, "first delivery")))
		for pause := time.Duration(0); refused(came); pause = min(max(time.Second, 2*pause), time.Minute) {
			came = came.Add(hangs + pause)
		}
		if r.Since.Before(start) && came.After(r.BridgedAt) {
			t.Fatalf("a webhook of %s comes at %s; the breaks %v are bridged at %s", breaks[0].from, came, breaks, r.BridgedAt)
		}
	})
}
