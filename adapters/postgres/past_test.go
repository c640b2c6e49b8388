package postgres_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
)

// ledgerOf computes the ledger of histories at an instant.
func ledgerOf(histories []*history, asOf time.Time) query.Ledger {
	l := query.Ledger{AsOf: asOf, Balanced: true}
	for _, h := range histories {
		var known []message.Record
		for _, r := range h.records {
			if !r.At.After(asOf) {
				known = append(known, r)
			}
		}
		if len(known) == 0 {
			continue
		}
		m := message.Fold(known...)
		l.Accepted++
		l.Add(m.Status.Column(), 1)
		if m.SentTwice {
			l.SentTwice++
		}
		if !m.OverdueSince.IsZero() {
			l.Overdue++
		}
	}
	return l
}

// At any past instant, the ledger is what the log showed then, and a search that starts in
// the middle of the log finds the same as one through all of it.
func TestThePastIsAsTheLogHasIt(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	b := setup(t)
	var histories []*history
	var instants []time.Time
	read := b.model()
	reader := audit.NewReader(b.log, uuid.MustParse(b.logID), read)
	rapid.Check(t, func(rt *rapid.T) {
		fresh := make([]*history, rapid.IntRange(1, 4).Draw(rt, "messages"))
		for i := range fresh {
			fresh[i] = &history{id: uuid.New(), sender: rapid.SampledFrom([]string{"acme", "bolt"}).Draw(rt, "sender")}
		}
		histories = append(histories, fresh...)
		for range rapid.IntRange(1, 12).Draw(rt, "appends") {
			h := rapid.SampledFrom(fresh).Draw(rt, "message")
			b.now = b.now.Add(time.Duration(rapid.IntRange(0, 200).Draw(rt, "pause")) * time.Second)
			if events := h.next(rt, b.now); len(events) > 0 {
				b.append(event.MessageStream(h.id), events...)
				h.record(b.now, events...)
				instants = append(instants, b.now)
			}
		}
		b.project()
		at := rapid.SampledFrom(instants).Draw(rt, "instant").Add(time.Duration(rapid.IntRange(-1, 1).Draw(rt, "milliseconds off")) * time.Millisecond)
		for _, sender := range []string{"", "acme"} {
			var of *string
			those := histories
			if sender != "" {
				of = &sender
				those = slices.DeleteFunc(slices.Clone(histories), func(h *history) bool { return h.sender != sender })
			}
			got, err := reader.Ledger(b.ctx, of, at)
			if err != nil {
				rt.Fatal(err)
			}
			if want := ledgerOf(those, at); !reflect.DeepEqual(got, want) {
				rt.Fatalf("as of %s\n%+v, want\n%+v", at, got, want)
			}
		}
		until := at.Add(5 * time.Minute)
		var want []string
		for _, h := range histories {
			for i, r := range h.records {
				if !r.At.Before(at) && r.At.Before(until) {
					want = append(want, fmt.Sprint(h.id, "/", i))
				}
			}
		}
		slices.Sort(want)
		for _, order := range []audit.Order{audit.OldestFirst, audit.NewestFirst} {
			page, err := reader.Read(b.ctx, audit.Filter{From: at, To: until, StreamPrefix: event.MessageStreams}, audit.Page{Order: order, First: 1000})
			if err != nil {
				rt.Fatal(err)
			}
			var found []string
			for _, e := range page.Events {
				id, _ := event.ParseMessageStream(e.Stream)
				found = append(found, fmt.Sprint(id, "/", e.Revision))
			}
			slices.Sort(found)
			if !slices.Equal(found, want) {
				rt.Fatalf("from %s: %v, want %v", at, found, want)
			}
		}
	})
	// It starts near the position where it must.
	middle := instants[len(instants)/2]
	low, high, err := read.PositionsAround(b.ctx, b.logID, middle, time.Minute)
	must(t, err)
	if end, err := b.log.End(b.ctx); err != nil || low == 0 || high > end || low >= high {
		t.Errorf("the middle of a log that ends at %d lies between %d and %d, %v", end, low, high, err)
	}
	if _, _, err := read.PositionsAround(b.ctx, uuid.NewString(), middle, time.Minute); err == nil {
		t.Error("read models of another log have results for this one")
	}
}
