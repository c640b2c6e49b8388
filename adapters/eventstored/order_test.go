package eventstored_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"pgregory.net/rapid"
)

// With any number of writers on any number of streams, positions in $all strictly increase, the events of one append
// are adjacent, each stream's revisions are consecutive, and $all and the streams agree.
func TestOrderOfAllUnderConcurrentWriters(t *testing.T) {
	_, c := start(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		writers := rapid.IntRange(1, 12).Draw(rt, "writers")
		streams := rapid.IntRange(1, 4).Draw(rt, "streams")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 5), 1, 6).Draw(rt, "events of each append")
		prefix := fmt.Sprintf("run%d-", run)
		var from esdb.AllPosition = esdb.Start{}
		if newest := readAll(t, c, esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1); len(newest) == 1 {
			from = newest[0].Event.Position
		}
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i, size := range sizes {
					events := newEvents(size)
					for j := range events {
						events[j].EventType = fmt.Sprintf("%d/%d/%d/%d", w, i, j, size)
					}
					_, err := c.AppendToStream(testContext(t), fmt.Sprintf("%s%d", prefix, (w+i)%streams),
						esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, events...)
					if err != nil {
						t.Errorf("append: %v", err)
					}
				}
			})
		}
		wg.Wait()
		all := readAll(t, c, esdb.ReadAllOptions{From: from}, everything)
		if _, fromStart := from.(esdb.Start); !fromStart {
			all = all[1:] // from is inclusive
		}
		if !slices.IsSorted(positions(all)) {
			rt.Fatal("positions do not grow")
		}
		byStream := map[string][]uint64{}
		lastOf := map[int]int{} // writer -> its newest append
		for k := 0; k < len(all); {
			var w, i, j, size int
			if _, err := fmt.Sscanf(all[k].Event.EventType, "%d/%d/%d/%d", &w, &i, &j, &size); err != nil || j != 0 {
				rt.Fatalf("append begins with %s, %v", all[k].Event.EventType, err)
			}
			if before, ok := lastOf[w]; ok && i != before+1 {
				rt.Fatalf("writer %d: append %d after %d", w, i, before)
			}
			lastOf[w] = i
			for j := range size {
				e := all[k].Event
				if want := fmt.Sprintf("%d/%d/%d/%d", w, i, j, size); e.EventType != want {
					rt.Fatalf("%s is inside of %s", e.EventType, want)
				}
				if e.EventNumber != uint64(len(byStream[e.StreamID])) {
					rt.Fatalf("%s: revision %d after %d events", e.StreamID, e.EventNumber, len(byStream[e.StreamID]))
				}
				byStream[e.StreamID] = append(byStream[e.StreamID], e.Position.Commit)
				k++
			}
		}
		for stream, want := range byStream {
			events, err := readStream(t, c, stream, esdb.ReadStreamOptions{})
			if err != nil || !slices.Equal(positions(events), want) {
				rt.Fatalf("%s has other positions than $all, %v", stream, err)
			}
		}
	})
}
