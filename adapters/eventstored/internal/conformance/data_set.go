package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// The client's tests expect a data set that comes in a container image. The events that they check are in JSON files of
// the client's module and are used unchanged. The other events are filled in, so that streams have the length, and
// types and positions the values, that the tests expect.

// expectations are the files that contain whole events.
var expectations = [...]string{
	"all-e0-e10", "all-c1788-p1788", "all-back-c3386-p3386", "all-back-e0-e10",
	"dataset20M-1800-e0-e10", "dataset20M-1800-e1999-e1990",
}

// expectedEvent is the format of an event in those files.
type expectedEvent struct {
	Event struct {
		StreamID       string                         `json:"streamId"`
		StreamRevision struct{ Value int64 }          `json:"streamRevision"`
		EventID        uuid.UUID                      `json:"eventId"`
		EventType      string                         `json:"eventType"`
		EventData      []byte                         `json:"eventData"`
		UserMetadata   []byte                         `json:"userMetadata"`
		ContentType    string                         `json:"contentType"`
		Position       struct{ Commit uint64 }        `json:"position"`
		Created        struct{ Seconds, Nanos int64 } `json:"created"`
	} `json:"event"`
}

// dataSet returns the events in the order of their positions.
func dataSet(resources string) (iter.Seq2[store.LoadedEvent, error], error) {
	set := dataSetBuilder{byPosition: map[uint64]store.LoadedEvent{}}
	for _, name := range expectations {
		if err := set.take(filepath.Join(resources, name+".json")); err != nil {
			return nil, err
		}
	}
	set.fillStreams()
	events := make([]store.LoadedEvent, 0, len(set.byPosition))
	for _, e := range set.byPosition {
		events = append(events, e)
	}
	slices.SortFunc(events, func(a, b store.LoadedEvent) int { return cmp.Compare(a.Position, b.Position) })
	return func(yield func(store.LoadedEvent, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}, nil
}

type dataSetBuilder struct {
	byPosition map[uint64]store.LoadedEvent
	filled     int
}

func (b *dataSetBuilder) take(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var events []expectedEvent
	if err := json.Unmarshal(raw, &events); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, x := range events {
		e := x.Event
		b.byPosition[e.Position.Commit] = store.LoadedEvent{
			Event: store.Event{
				ID: e.EventID, Type: e.EventType, JSON: e.ContentType == "application/json",
				Data: e.EventData, Metadata: e.UserMetadata,
			},
			Stream:   e.StreamID,
			Revision: e.StreamRevision.Value,
			Position: e.Position.Commit,
			Created:  time.Unix(e.Created.Seconds, e.Created.Nanos),
		}
	}
	return nil
}

// fill adds an event that no test reads, at the first free position from the given one on.
func (b *dataSetBuilder) fill(position uint64, stream string, revision int64, eventType string) {
	for {
		if _, taken := b.byPosition[position]; !taken {
			break
		}
		position++
	}
	b.filled++
	var id uuid.UUID
	copy(id[:], fmt.Sprintf("filler%010d", b.filled))
	b.byPosition[position] = store.LoadedEvent{
		Event:    store.Event{ID: id, Type: eventType, JSON: true, Data: []byte(`{"filler":true}`)},
		Stream:   stream,
		Revision: revision,
		Position: position,
		Created:  time.Date(2020, time.January, 12, 18, 15, 0, 0, time.UTC),
	}
}

// fillStreams adds the events between those in the files. The tests' filtered subscription looks for types that begin
// with eventType-194, at the positions in all-positions-filtered-stream-194-e0-e30.json: every 200th event of
// dataset20M-0, then ten in a row of two others.
func (b *dataSetBuilder) fillStreams() {
	const period, spacing, stride, firstMatch = 200, 149, 29870, 137783
	for r := range uint64(6000) {
		eventType := fmt.Sprintf("eventType-%d", r%period)
		if r >= 2000 {
			eventType = "eventType-late"
		}
		b.fill(firstMatch+(r/period)*stride+(r%period)*spacing-194*spacing, "dataset20M-0", int64(r), eventType)
	}
	for r := uint64(10); r < 1990; r++ { // the first and the last ten are in the files
		position, eventType := 11607400+r*157, fmt.Sprintf("eventType-%d", 1800+r)
		if r >= 150 {
			position, eventType = 12200000+r, "eventType-late"
		}
		b.fill(position, "dataset20M-1800", int64(r), eventType)
	}
	for r := range uint64(350) {
		position, eventType := 11640000+r*157, "eventType-early"
		if r >= 340 {
			position, eventType = 11785596+(r-340)*157, fmt.Sprintf("eventType-%d", 1600+r)
		}
		b.fill(position, "dataset20M-1600", int64(r), eventType)
	}
	// Two of the server's own streams have gaps, because the files contain only their ends.
	for r := uint64(4); r < 317; r++ {
		b.fill(13000000+r*100, "$projections-$master", int64(r), "$statistics-report")
	}
	for r := range uint64(6) {
		b.fill(14000000+r*100, "$stats-0.0.0.0:2113", int64(r), "$statsCollected")
	}
}
