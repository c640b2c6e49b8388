package eventstored_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored"
)

func revisions(events []*esdb.ResolvedEvent) []uint64 {
	out := []uint64{}
	for _, e := range events {
		out = append(out, e.OriginalEvent().EventNumber)
	}
	return out
}

func positions(events []*esdb.ResolvedEvent) []uint64 {
	out := []uint64{}
	for _, e := range events {
		out = append(out, e.OriginalEvent().Position.Commit)
	}
	return out
}

func TestReadStreamBounds(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(5)...)
	for _, tt := range []struct {
		name      string
		direction esdb.Direction
		from      esdb.StreamPosition
		count     uint64
		want      []uint64
	}{
		{"all", esdb.Forwards, esdb.Start{}, 100, []uint64{0, 1, 2, 3, 4}},
		{"some", esdb.Forwards, esdb.Start{}, 2, []uint64{0, 1}},
		{"from is inclusive", esdb.Forwards, esdb.Revision(3), 100, []uint64{3, 4}},
		{"last", esdb.Forwards, esdb.Revision(4), 100, []uint64{4}},
		{"beyond", esdb.Forwards, esdb.Revision(5), 100, []uint64{}},
		{"end", esdb.Forwards, esdb.End{}, 100, []uint64{}},
		{"none", esdb.Forwards, esdb.Start{}, 0, []uint64{}},
		{"all backwards", esdb.Backwards, esdb.End{}, 100, []uint64{4, 3, 2, 1, 0}},
		{"newest", esdb.Backwards, esdb.End{}, 1, []uint64{4}},
		{"from is inclusive backwards", esdb.Backwards, esdb.Revision(2), 100, []uint64{2, 1, 0}},
		{"from beyond backwards", esdb.Backwards, esdb.Revision(99), 2, []uint64{4, 3}},
		{"from the greatest backwards", esdb.Backwards, esdb.Revision(math.MaxUint64), 1, []uint64{4}},
		{"start backwards", esdb.Backwards, esdb.Start{}, 100, []uint64{0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readStreamN(t, c, "s", esdb.ReadStreamOptions{Direction: tt.direction, From: tt.from}, tt.count)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(revisions(got), tt.want) {
				t.Errorf("got %v, want %v", revisions(got), tt.want)
			}
		})
	}
}

func TestReadAllBounds(t *testing.T) {
	_, c := start(t)
	for i := range 5 {
		mustAppend(t, c, fmt.Sprintf("s%d", i), esdb.NoStream{}, newEvent("Happened"))
	}
	p := positions(readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, 100))
	if len(p) != 5 || !slices.IsSorted(p) || p[0] == 0 {
		t.Fatalf("positions %v", p)
	}
	at := func(i int) esdb.Position { return esdb.Position{Commit: p[i], Prepare: p[i]} }
	for _, tt := range []struct {
		name      string
		direction esdb.Direction
		from      esdb.AllPosition
		count     uint64
		want      []uint64
	}{
		{"some", esdb.Forwards, esdb.Start{}, 2, p[:2]},
		{"from is inclusive", esdb.Forwards, at(2), 100, p[2:]},
		{"end", esdb.Forwards, esdb.End{}, 100, nil},
		{"all backwards", esdb.Backwards, esdb.End{}, 100, []uint64{p[4], p[3], p[2], p[1], p[0]}},
		{"newest", esdb.Backwards, esdb.End{}, 1, p[4:]},
		{"from is exclusive backwards", esdb.Backwards, at(2), 100, []uint64{p[1], p[0]}},
		{"start backwards", esdb.Backwards, esdb.Start{}, 100, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := positions(readAll(t, c, esdb.ReadAllOptions{Direction: tt.direction, From: tt.from}, tt.count))
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// These reads return more than one page, from memory and from disk.
func TestReadManyEvents(t *testing.T) {
	dir := t.TempDir()
	inDir := func(o *eventstored.Options) { o.Dir = dir }
	s, c := start(t, inDir)
	const n = 2500
	for i := 0; i < n; i += 500 {
		mustAppend(t, c, "s", esdb.Any{}, newEvents(500)...)
	}
	for _, where := range []string{"memory", "disk"} {
		forwards, err := readStream(t, c, "s", esdb.ReadStreamOptions{})
		if err != nil {
			t.Fatal(err)
		}
		backwards, err := readStream(t, c, "s", esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}})
		if err != nil {
			t.Fatal(err)
		}
		all := readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, everything)
		allBackwards := readAll(t, c, esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, everything)
		slices.Reverse(backwards)
		slices.Reverse(allBackwards)
		for name, events := range map[string][]*esdb.ResolvedEvent{
			"stream": forwards, "stream backwards": backwards, "$all": all, "$all backwards": allBackwards,
		} {
			if len(events) != n {
				t.Fatalf("%s from %s: %d events, want %d", name, where, len(events), n)
			}
			for i, e := range events {
				if e.Event.EventNumber != uint64(i) {
					t.Fatalf("%s from %s: event %d has revision %d", name, where, i, e.Event.EventNumber)
				}
			}
		}
		if err := s.Close(testContext(t)); err != nil {
			t.Fatal(err)
		}
		s, c = start(t, inDir)
	}
}

func TestReadOfMissingStreams(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "deleted", esdb.NoStream{}, newEvent("Happened"))
	mustDelete(t, c, "deleted", esdb.Any{})
	mustAppend(t, c, "tombstoned", esdb.NoStream{}, newEvent("Happened"))
	mustTombstone(t, c, "tombstoned", esdb.Any{})
	for stream, want := range map[string]esdb.ErrorCode{
		"never":      esdb.ErrorCodeResourceNotFound,
		"deleted":    esdb.ErrorCodeResourceNotFound,
		"tombstoned": esdb.ErrorCodeStreamDeleted,
	} {
		for _, direction := range []esdb.Direction{esdb.Forwards, esdb.Backwards} {
			_, err := readStream(t, c, stream, esdb.ReadStreamOptions{Direction: direction})
			if err == nil || codeOf(t, err) != want {
				t.Errorf("%s: got %v, want code %v", stream, err, want)
			}
		}
	}
	if _, err := readStream(t, c, "$$tombstoned", esdb.ReadStreamOptions{}); err == nil || codeOf(t, err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("metadata of a tombstoned stream: got %v, want stream deleted", err)
	}
}

func TestDeletedStreamComesBackAfterItsOldRevisions(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	setMetadata(t, c, "s", `{"$maxCount":10,"own":"value"}`)
	mustDelete(t, c, "s", esdb.Revision(2))
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(2)...)
	got, err := readStream(t, c, "s", esdb.ReadStreamOptions{})
	if err != nil || !slices.Equal(revisions(got), []uint64{3, 4}) {
		t.Fatalf("got %v, %v, want 3 and 4", revisions(got), err)
	}
	meta, err := c.GetStreamMetadata(testContext(t), "s", esdb.ReadStreamOptions{})
	if err != nil || meta.TruncateBefore() == nil || *meta.TruncateBefore() != 3 {
		t.Fatalf("metadata %+v, %v; want to be truncated before 3", meta, err)
	}

	// Metadata also brings a deleted stream back, without events.
	mustDelete(t, c, "s", esdb.Any{})
	setMetadata(t, c, "s", `{"$maxCount":10}`)
	got, err = readStream(t, c, "s", esdb.ReadStreamOptions{})
	if err != nil || len(got) != 0 {
		t.Fatalf("got %v, %v, want an empty stream", revisions(got), err)
	}
}

func TestDeleteExpectations(t *testing.T) {
	_, c := start(t)
	if _, err := c.DeleteStream(testContext(t), "never", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}}); err == nil {
		t.Error("a stream that never existed is deleted")
	}
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(2)...)
	_, err := c.DeleteStream(testContext(t), "s", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Revision(0)})
	if err == nil || !strings.Contains(err.Error(), "WrongExpectedVersion. Stream: s, Expected version: 0, Actual version: 1") {
		t.Errorf("got %v, want wrong expected revision", err)
	}
	mustDelete(t, c, "s", esdb.Revision(1))
	mustDelete(t, c, "s", esdb.Any{})
	mustTombstone(t, c, "s", esdb.Any{})
	_, err = c.TombstoneStream(testContext(t), "s", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
	if err == nil || codeOf(t, err) != esdb.ErrorCodeUnknown && codeOf(t, err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("second tombstone: %v", err)
	}
	mustTombstone(t, c, "never written", esdb.NoStream{})
}

func TestMetadataLimitsWhatIsRead(t *testing.T) {
	var clock atomic.Int64
	clock.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	_, c := start(t, func(o *eventstored.Options) { o.Now = func() time.Time { return time.Unix(0, clock.Load()) } })
	for _, stream := range []string{"count", "age", "before", "both"} {
		mustAppend(t, c, stream, esdb.NoStream{}, newEvents(3)...)
	}
	clock.Add(int64(time.Hour))
	for _, stream := range []string{"count", "age", "before", "both"} {
		mustAppend(t, c, stream, esdb.Revision(2), newEvents(3)...)
	}
	setMetadata(t, c, "count", `{"$maxCount":2}`)
	setMetadata(t, c, "age", `{"$maxAge":1800}`)
	setMetadata(t, c, "before", `{"$tb":4}`)
	setMetadata(t, c, "both", `{"$tb":1,"$maxCount":4}`)
	for stream, want := range map[string][]uint64{
		"count": {4, 5}, "age": {3, 4, 5}, "before": {4, 5}, "both": {2, 3, 4, 5},
	} {
		got, err := readStream(t, c, stream, esdb.ReadStreamOptions{})
		if err != nil || !slices.Equal(revisions(got), want) {
			t.Errorf("%s: got %v, %v, want %v", stream, revisions(got), err, want)
		}
		backwards, err := readStream(t, c, stream, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}})
		slices.Reverse(backwards)
		if err != nil || !slices.Equal(revisions(backwards), want) {
			t.Errorf("%s backwards: got %v, %v, want %v", stream, revisions(backwards), err, want)
		}
	}
	// Read one event at a time: the count refers to readable events.
	got, err := readStreamN(t, c, "age", esdb.ReadStreamOptions{}, 1)
	if err != nil || !slices.Equal(revisions(got), []uint64{3}) {
		t.Errorf("got %v, %v, want the first that is young enough", revisions(got), err)
	}
	// All events have expired: the stream is empty, but not missing.
	clock.Add(int64(time.Hour))
	if got, err := readStream(t, c, "age", esdb.ReadStreamOptions{}); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v, want nothing", revisions(got), err)
	}
	// Only the newest metadata takes effect.
	setMetadata(t, c, "count", `{"$maxCount":3}`)
	if got, err := readStream(t, c, "$$count", esdb.ReadStreamOptions{}); err != nil || !slices.Equal(revisions(got), []uint64{1}) {
		t.Errorf("metadata: got %v, %v, want revision 1", revisions(got), err)
	}
}

func TestLinks(t *testing.T) {
	_, c := start(t)
	targets := newEvents(3)
	mustAppend(t, c, "target", esdb.NoStream{}, targets...)
	mustAppend(t, c, "gone", esdb.NoStream{}, newEvents(2)...)
	setMetadata(t, c, "gone", `{"$tb":1}`)
	leadsTo := map[string]string{
		"1@target": "revision 1", "+1@target": "revision 1", "-1@target": "revision 2", "0@gone": "nothing", "9@target": "nothing",
		"0@never": "nothing", "-2@target": "itself", "1": "itself", "1@": "itself", "nonsense": "itself", "": "itself",
	}
	for to := range leadsTo {
		mustAppend(t, c, "links", esdb.Any{}, esdb.EventData{
			EventID: uuid.New(), EventType: "$>", ContentType: esdb.ContentTypeBinary, Data: []byte(to),
		})
	}
	got, err := readStream(t, c, "links", esdb.ReadStreamOptions{ResolveLinkTos: true})
	if err != nil || len(got) != len(leadsTo) {
		t.Fatalf("%d events, %v", len(got), err)
	}
	for _, e := range got {
		to, is := string(e.OriginalEvent().Data), ""
		switch {
		case e.Link == nil && e.Event.EventType == "$>": // a link without a valid address is an ordinary event
			is = "itself"
		case e.Link != nil && e.Event == nil:
			is = "nothing"
		case e.Link != nil && e.Event.StreamID == "target" && e.Event.EventID == targets[e.Event.EventNumber].EventID:
			is = fmt.Sprintf("revision %d", e.Event.EventNumber)
		}
		if is != leadsTo[to] {
			t.Errorf("link %q leads to %s, want %s", to, is, leadsTo[to])
		}
	}
	plain, err := readStream(t, c, "links", esdb.ReadStreamOptions{})
	if err != nil || plain[0].Link != nil || plain[0].Event.EventType != "$>" {
		t.Errorf("unresolved: %+v, %v", plain[0], err)
	}
}
