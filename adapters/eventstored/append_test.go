package eventstored_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored"
)

func TestAppendAnswersWhereTheEventsStand(t *testing.T) {
	_, c := start(t)
	first := mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	second := mustAppend(t, c, "s", esdb.Revision(2), newEvents(1)...)
	if first.NextExpectedVersion != 2 || second.NextExpectedVersion != 3 {
		t.Fatalf("revisions %d and %d, want 2 and 3", first.NextExpectedVersion, second.NextExpectedVersion)
	}
	events, err := readStream(t, c, "s", esdb.ReadStreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if events[2].Event.Position.Commit != first.CommitPosition || events[3].Event.Position.Commit != second.CommitPosition {
		t.Fatalf("returned positions %d and %d, stored %d and %d", first.CommitPosition, second.CommitPosition,
			events[2].Event.Position.Commit, events[3].Event.Position.Commit)
	}
}

func TestEventsComeBackAsTheyWereWritten(t *testing.T) {
	_, c := start(t)
	big := bytes.Repeat([]byte("x"), 900_000)
	for name, e := range map[string]esdb.EventData{
		"json":         newEvent("Happened"),
		"binary":       {EventID: uuid.New(), EventType: "b", ContentType: esdb.ContentTypeBinary, Data: []byte{0, 1, 255}},
		"empty":        {EventID: uuid.New(), EventType: "e", ContentType: esdb.ContentTypeJson},
		"big":          {EventID: uuid.New(), EventType: "l", ContentType: esdb.ContentTypeBinary, Data: big},
		"unicode type": {EventID: uuid.New(), EventType: "Größe/✓", ContentType: esdb.ContentTypeJson, Data: []byte("{}")},
	} {
		t.Run(name, func(t *testing.T) {
			stream := "stream with ümlaut " + name
			mustAppend(t, c, stream, esdb.NoStream{}, e)
			got, err := readStream(t, c, stream, esdb.ReadStreamOptions{})
			if err != nil || len(got) != 1 {
				t.Fatalf("%d events, %v", len(got), err)
			}
			r := got[0].Event
			contentType := "application/octet-stream"
			if e.ContentType == esdb.ContentTypeJson {
				contentType = "application/json"
			}
			if r.EventID != e.EventID || r.EventType != e.EventType || r.ContentType != contentType || r.StreamID != stream ||
				!bytes.Equal(r.Data, e.Data) || !bytes.Equal(r.UserMetadata, e.Metadata) {
				t.Errorf("wrote %+v, read %+v", e.EventType, r.EventType)
			}
		})
	}
}

// Streams in every possible state, against every possible expectation.
func TestExpectedRevisions(t *testing.T) {
	_, c := start(t)
	states := map[string]func(t *testing.T, stream string){
		"missing": func(*testing.T, string) {},
		"three events": func(t *testing.T, s string) {
			t.Helper()
			mustAppend(t, c, s, esdb.NoStream{}, newEvents(3)...)
		},
		"metadata only": func(t *testing.T, s string) {
			t.Helper()
			setMetadata(t, c, s, `{"$maxCount":5}`)
		},
		"soft-deleted": func(t *testing.T, s string) {
			t.Helper()
			mustAppend(t, c, s, esdb.NoStream{}, newEvents(3)...)
			mustDelete(t, c, s, esdb.Any{})
		},
		"revived": func(t *testing.T, s string) {
			t.Helper()
			mustAppend(t, c, s, esdb.NoStream{}, newEvents(2)...)
			mustDelete(t, c, s, esdb.Any{})
			mustAppend(t, c, s, esdb.NoStream{}, newEvents(1)...)
		},
		"tombstoned": func(t *testing.T, s string) {
			t.Helper()
			mustAppend(t, c, s, esdb.NoStream{}, newEvents(3)...)
			mustTombstone(t, c, s, esdb.Revision(2))
		},
	}
	expectations := []struct {
		name     string
		expected esdb.ExpectedRevision
		accepted string // the states in which it is met
	}{
		{"any", esdb.Any{}, "missing, three events, metadata only, soft-deleted, revived"},
		{"no stream", esdb.NoStream{}, "missing, metadata only, soft-deleted"},
		{"stream exists", esdb.StreamExists{}, "three events, metadata only, revived"},
		{"the last revision", esdb.Revision(2), "three events, soft-deleted, revived"},
		{"an earlier revision", esdb.Revision(1), ""},
		{"a later revision", esdb.Revision(3), ""},
	}
	for state, prepare := range states {
		for _, e := range expectations {
			t.Run(state+"/"+e.name, func(t *testing.T) {
				stream := state + " " + e.name
				prepare(t, stream)
				_, err := c.AppendToStream(testContext(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: e.expected}, newEvents(2)...)
				switch {
				case state == "tombstoned", state == "soft-deleted" && e.name == "stream exists":
					if err == nil || codeOf(t, err) != esdb.ErrorCodeStreamDeleted {
						t.Errorf("got %v, want stream deleted", err)
					}
				case strings.Contains(e.accepted, state):
					if err != nil {
						t.Errorf("refused: %v", err)
					}
				case err == nil || codeOf(t, err) != esdb.ErrorCodeWrongExpectedVersion:
					t.Errorf("got %v, want wrong expected version", err)
				}
			})
		}
	}
}

func TestWrongExpectedRevisionTellsBoth(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	for _, tt := range []struct {
		stream   string
		expected esdb.ExpectedRevision
		want     string
	}{
		{"s", esdb.Revision(7), "expecting '7' but got '2'"},
		{"s", esdb.NoStream{}, "expecting 'no_stream' but got '2'"},
		{"missing", esdb.StreamExists{}, "expecting 'stream_exists' but got 'no_stream'"},
		{"missing", esdb.Revision(0), "expecting '0' but got 'no_stream'"},
	} {
		_, err := c.AppendToStream(testContext(t), tt.stream, esdb.AppendToStreamOptions{ExpectedRevision: tt.expected}, newEvents(1)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// The events written before, the append that follows, and the response to it. Letters
// are event IDs.
func TestRepeatedAppends(t *testing.T) {
	const (
		written  = "written"
		repeated = "repeated"
		wrong    = "wrong expected version"
	)
	for _, tt := range []struct {
		name, before, then string
		expected           esdb.ExpectedRevision
		want               string
		revision           uint64 // in the response
	}{
		{"same at no stream", "ab", "ab", esdb.NoStream{}, repeated, 1},
		{"beginning at no stream", "abc", "ab", esdb.NoStream{}, repeated, 1},
		{"same after other events", "abc", "bc", esdb.Revision(0), repeated, 2},
		{"one in the middle", "abc", "b", esdb.Revision(0), repeated, 1},
		{"longer than the stream", "ab", "abc", esdb.NoStream{}, wrong, 0},
		{"first other", "ab", "xb", esdb.NoStream{}, wrong, 0},
		{"second other", "ab", "ax", esdb.NoStream{}, wrong, 0},
		{"other order", "ab", "ba", esdb.NoStream{}, wrong, 0},
		{"at the wrong revision", "abc", "c", esdb.Revision(0), wrong, 0},
		{"same at the current revision", "ab", "ab", esdb.Revision(1), written, 3},
		{"same at any", "ab", "ab", esdb.Any{}, repeated, 1},
		{"one of them at any", "abc", "b", esdb.Any{}, repeated, 1},
		{"known then new at any", "ab", "bx", esdb.Any{}, wrong, 0},
		{"new then known at any", "ab", "xb", esdb.Any{}, written, 3},
		{"same at stream exists", "ab", "ab", esdb.StreamExists{}, repeated, 1},
		{"known then new at stream exists", "ab", "ax", esdb.StreamExists{}, wrong, 0},
		{"new at stream exists", "ab", "x", esdb.StreamExists{}, written, 2},
		{"no events at an old revision", "ab", "", esdb.Revision(0), wrong, 0},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/restarted=%t", tt.name, restarted), func(t *testing.T) {
				dir := t.TempDir()
				inDir := func(o *eventstored.Options) { o.Dir = dir }
				ids := map[rune]uuid.UUID{}
				events := func(letters string) []esdb.EventData {
					var out []esdb.EventData
					for _, l := range letters {
						if _, ok := ids[l]; !ok {
							ids[l] = uuid.New()
						}
						e := newEvent(string(l))
						e.EventID = ids[l]
						out = append(out, e)
					}
					return out
				}
				s, c := start(t, inDir)
				before := mustAppend(t, c, "s", esdb.NoStream{}, events(tt.before)...)
				positions := positionsOf(t, c, "s")
				if restarted {
					if err := s.Close(testContext(t)); err != nil {
						t.Fatal(err)
					}
					_, c = start(t, inDir)
				}
				got, err := c.AppendToStream(testContext(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: tt.expected}, events(tt.then)...)
				if tt.want == wrong {
					if err == nil || codeOf(t, err) != esdb.ErrorCodeWrongExpectedVersion {
						t.Fatalf("got %+v, %v; want wrong expected version", got, err)
					}
				} else {
					if err != nil {
						t.Fatal(err)
					}
					if got.NextExpectedVersion != tt.revision {
						t.Errorf("revision %d, want %d", got.NextExpectedVersion, tt.revision)
					}
				}
				after := positionsOf(t, c, "s")
				switch {
				case tt.want == written:
					if len(after) != len(positions)+len(tt.then) || got.CommitPosition <= before.CommitPosition {
						t.Errorf("%d events at %d after %d at %d", len(after), got.CommitPosition, len(positions), before.CommitPosition)
					}
				case len(after) != len(positions):
					t.Errorf("%d events, want the %d that existed", len(after), len(positions))
				case tt.want == repeated && got.CommitPosition != positions[tt.revision]:
					t.Errorf("returned position %d, want the first append's %d", got.CommitPosition, positions[tt.revision])
				}
			})
		}
	}
}

func TestRepeatedAppendToAnotherStreamIsWritten(t *testing.T) {
	_, c := start(t)
	e := newEvent("Happened")
	mustAppend(t, c, "one", esdb.Any{}, e)
	mustAppend(t, c, "two", esdb.Any{}, e)
	if n := len(positionsOf(t, c, "two")); n != 1 {
		t.Fatalf("%d events in the second stream, want 1", n)
	}
}

func TestAppendRefusals(t *testing.T) {
	_, c := start(t)
	for name, tt := range map[string]struct {
		stream string
		size   int
		want   string
	}{
		"no name":        {"", 1, "invalid stream name"},
		"prefix only":    {"$$", 1, "invalid stream name"},
		"endless name":   {strings.Repeat("n", 1<<20+1), 1, "invalid stream name"},
		"too large":      {"large", 1<<20 + 1, "exceeds the maximum"},
		"much too large": {"large", 20 << 20, "message larger than max"},
	} {
		t.Run(name, func(t *testing.T) {
			e := esdb.EventData{EventType: "T", Data: make([]byte, tt.size)}
			_, err := c.AppendToStream(testContext(t), tt.stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, e)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestAppendOfNothing(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{})
	if _, err := readStream(t, c, "s", esdb.ReadStreamOptions{}); err == nil || codeOf(t, err) != esdb.ErrorCodeResourceNotFound {
		t.Fatalf("got %v, want not found", err)
	}
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(2)...)
	if got := mustAppend(t, c, "s", esdb.Revision(1)); got.NextExpectedVersion != 1 {
		t.Fatalf("revision %d, want 1", got.NextExpectedVersion)
	}
}

// Every aggregate relies on this race: of many concurrent appends at the same revision,
// one wins.
func TestOneWinnerAtARevision(t *testing.T) {
	_, c := start(t)
	const writers, rounds = 16, 20
	for round := range rounds {
		results := make(chan error, writers)
		var expected esdb.ExpectedRevision = esdb.NoStream{}
		if round > 0 {
			expected = esdb.Revision(uint64(round - 1))
		}
		for range writers {
			go func() {
				_, err := c.AppendToStream(testContext(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: expected}, newEvent("Won"))
				results <- err
			}()
		}
		won := 0
		for range writers {
			if err := <-results; err == nil {
				won++
			} else if codeOf(t, err) != esdb.ErrorCodeWrongExpectedVersion {
				t.Fatal(err)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d winners", round, won)
		}
	}
}

func positionsOf(t *testing.T, c *esdb.Client, stream string) []uint64 {
	t.Helper()
	events, err := readStream(t, c, stream, esdb.ReadStreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	positions := make([]uint64, len(events))
	for i, e := range events {
		positions[i] = e.Event.Position.Commit
	}
	return positions
}

func setMetadata(t *testing.T, c *esdb.Client, stream, json string) {
	t.Helper()
	mustAppend(t, c, "$$"+stream, esdb.Any{}, esdb.EventData{
		EventID: uuid.New(), EventType: "$metadata", ContentType: esdb.ContentTypeJson, Data: []byte(json),
	})
}

func mustDelete(t *testing.T, c *esdb.Client, stream string, expected esdb.ExpectedRevision) {
	t.Helper()
	if _, err := c.DeleteStream(testContext(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: expected}); err != nil {
		t.Fatalf("delete %s: %v", stream, err)
	}
}

func mustTombstone(t *testing.T, c *esdb.Client, stream string, expected esdb.ExpectedRevision) {
	t.Helper()
	if _, err := c.TombstoneStream(testContext(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: expected}); err != nil {
		t.Fatalf("tombstone %s: %v", stream, err)
	}
}
