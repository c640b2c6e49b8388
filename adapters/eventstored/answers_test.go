package eventstored_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/store"
)

// These tests check responses of EventStoreDB 23.10.8 that are easy to get wrong. TestAnswersOfEventStoreDB compares
// many more responses. The tests here name the rules and cover cases that are not in the recordings.

// A live subscriber receives every event that is written, including events that a read no longer returns.
func TestLiveSubscriptionsGetWhatReadsDoNotShow(t *testing.T) {
	for name, tt := range map[string]struct {
		stream string
		before string // metadata
		write  func(t *testing.T, c *esdb.Client)
		want   []uint64
	}{
		"$maxCount": {"s", `{"$maxCount":2}`, func(t *testing.T, c *esdb.Client) {
			t.Helper()
			mustAppend(t, c, "s", esdb.Any{}, newEvents(5)...)
		}, []uint64{3, 4, 5, 6, 7}},
		"metadata": {"$$s", "", func(t *testing.T, c *esdb.Client) {
			t.Helper()
			mustAppend(t, c, "$$s", esdb.Any{}, metadataEvent(`{"a":1}`), metadataEvent(`{"a":2}`), metadataEvent(`{"a":3}`))
		}, []uint64{0, 1, 2}},
		"$tb beyond the end": {"s", `{"$tb":10}`, func(t *testing.T, c *esdb.Client) {
			t.Helper()
			mustAppend(t, c, "s", esdb.Any{}, newEvents(2)...)
		}, []uint64{3, 4}},
		"soft delete": {"s", "", func(t *testing.T, c *esdb.Client) {
			t.Helper()
			mustAppend(t, c, "s", esdb.Any{}, newEvents(20)...)
			mustDelete(t, c, "s", esdb.Any{})
			mustAppend(t, c, "s", esdb.Any{}, newEvents(1)...)
		}, revisionsFrom(3, 21)},
		"$maxAge": {"s", `{"$maxAge":1}`, func(t *testing.T, c *esdb.Client) {
			t.Helper()
			mustAppend(t, c, "s", esdb.Any{}, newEvents(3)...)
		}, []uint64{3, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			var clock atomic.Int64 // advances an hour with each call, so events have expired when they are read
			_, c := start(t, func(o *eventstored.Options) {
				if name == "$maxAge" {
					o.Now = func() time.Time { return time.Unix(clock.Add(3600), 0) }
				}
			})
			mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
			if tt.before != "" {
				setMetadata(t, c, "s", tt.before)
			}
			sub := subscribeStream(t, c, tt.stream, esdb.End{})
			if e := sub.Recv(); e.CaughtUp == nil {
				t.Fatalf("got %s, want caught up", kindOf(e))
			}
			tt.write(t, c)
			var got []uint64
			for range tt.want {
				got = append(got, nextEvent(t, sub).EventNumber)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func revisionsFrom(first, n uint64) (revisions []uint64) {
	for i := range n {
		revisions = append(revisions, first+i)
	}
	return revisions
}

func metadataEvent(json string) esdb.EventData {
	return esdb.EventData{EventID: uuid.New(), EventType: "$metadata", ContentType: esdb.ContentTypeJson, Data: []byte(json)}
}

// Events that a soft-deleted stream had before the subscription began are not live.
func TestSubscriptionToASoftDeletedStream(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	mustDelete(t, c, "s", esdb.Any{})
	sub := subscribeStream(t, c, "s", esdb.Start{})
	mustAppend(t, c, "s", esdb.Any{}, newEvent("Happened"))
	if got := nextEvent(t, sub).EventNumber; got != 3 {
		t.Errorf("got revision %d, want 3", got)
	}
}

func TestSubscriptionToATombstonedStream(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	mustTombstone(t, c, "s", esdb.Any{})
	sub := openSubscription(t, s, func(o *streams.ReadReq_Options) {
		o.GetStream().RevisionOption = &streams.ReadReq_Options_StreamOptions_End{End: &shared.Empty{}}
	})
	if m := receiveFrom(t, sub); m.GetCaughtUp() == nil {
		t.Errorf("from the end: got %v, want caught up", m)
	}
	if _, err := c.SubscribeToStream(testContext(t), "s", esdb.SubscribeToStreamOptions{From: esdb.Revision(1)}); err == nil {
		t.Error("from a revision: no error")
	}
}

func TestSubscriptionToAllFromBeyondTheEnd(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	for _, at := range []uint64{1 << 40, math.MaxUint64} {
		for _, filter := range []*esdb.SubscriptionFilter{nil, {Type: esdb.StreamFilterType, Prefixes: []string{"s"}}} {
			sub := subscribeAll(t, c, esdb.SubscribeToAllOptions{From: esdb.Position{Commit: at, Prepare: at}, Filter: filter})
			e := newEvent("Happened")
			mustAppend(t, c, "s", esdb.Any{}, e)
			if got := nextEvent(t, sub); got.EventID != e.EventID {
				t.Errorf("from %d: got revision %d, want the new event", at, got.EventNumber)
			}
		}
	}
}

// idStep is one step of a scenario about event IDs. Letters are IDs, and the answer is the revision of the last event.
type idStep struct {
	stream, ids string
	expected    store.Expected
	answer      int // -1: wrong expected version
	written     bool
}

// An ID is known in the stream that it was first written to, at its first revision there.
func TestIDsKnownFromOtherStreams(t *testing.T) {
	for name, story := range map[string][]idStep{
		"two streams": {
			{"s", "a", store.Any, 0, true},
			{"t", "a", store.Any, 0, true},
			{"s", "a", store.Any, 0, false},
			{"t", "a", store.Any, 1, true},
			{"s", "a", store.StreamExists, 0, false},
		},
		"twice in one append": {
			{"s", "aa", store.Any, 1, true}, {"s", "a", store.Any, 0, false}, {"s", "aa", store.Any, 0, false},
		},
		"partly in another stream": {
			{"s", "a", store.Any, 0, true},
			{"t", "ab", store.Any, 1, true},
			{"t", "b", store.Any, 1, false},
			{"t", "ba", store.Any, -1, false},
			{"s", "ab", store.Any, -1, false},
			{"s", "a", store.Any, 0, false},
		},
		"at a revision": {
			{"s", "a", store.NoStream, 0, true},
			{"t", "xa", store.NoStream, 1, true},
			{"t", "a", 0, 1, false},
			{"t", "xa", store.NoStream, 1, false},
			{"t", "a", store.NoStream, -1, false},
		},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/restarted=%t", name, restarted), func(t *testing.T) {
				dir, ids := t.TempDir(), map[rune]uuid.UUID{}
				inDir := func(o *eventstored.Options) { o.Dir = dir }
				s, c := start(t, inDir)
				for i, step := range story {
					if restarted {
						if err := s.Close(testContext(t)); err != nil {
							t.Fatal(err)
						}
						s, c = start(t, inDir)
					}
					var events []esdb.EventData
					for _, l := range step.ids {
						if ids[l] == uuid.Nil {
							ids[l] = uuid.New()
						}
						e := newEvent("Happened")
						e.EventID = ids[l]
						events = append(events, e)
					}
					before := s.Stats().Events
					r, err := c.AppendToStream(testContext(t), step.stream, esdb.AppendToStreamOptions{ExpectedRevision: expectedOf(step.expected)}, events...)
					answer := -1
					if err == nil {
						answer = int(r.NextExpectedVersion)
					} else if codeOf(t, err) != esdb.ErrorCodeWrongExpectedVersion {
						t.Fatal(err)
					}
					if answer != step.answer || s.Stats().Events > before != step.written {
						t.Errorf("step %d: revision %d, %d events written; want %d, written %t", i, answer, s.Stats().Events-before, step.answer, step.written)
					}
				}
			})
		}
	}
}

func expectedOf(e store.Expected) esdb.ExpectedRevision {
	switch e {
	case store.Any:
		return esdb.Any{}
	case store.NoStream:
		return esdb.NoStream{}
	case store.StreamExists:
		return esdb.StreamExists{}
	default:
		return esdb.Revision(uint64(e))
	}
}

func TestStreamExistsOfASoftDeletedStream(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	mustDelete(t, c, "s", esdb.Any{})
	raw := streams.NewStreamsClient(dial(t, s.Addr()))
	o := appendOptions("s")
	o.GetOptions().ExpectedStreamRevision = &streams.AppendReq_Options_StreamExists{StreamExists: &shared.Empty{}}
	_, trailer, err := sendAppend(t, raw, o, proposedMessage())
	refused := map[string]error{"append": err}
	if got := trailer.Get("exception"); !slices.Equal(got, []string{"stream-deleted"}) {
		t.Errorf("append: exception %q", got)
	}
	_, refused["delete"] = raw.Delete(testContext(t), &streams.DeleteReq{Options: &streams.DeleteReq_Options{
		StreamIdentifier: identifier("s"), ExpectedStreamRevision: &streams.DeleteReq_Options_StreamExists{StreamExists: &shared.Empty{}},
	}})
	_, refused["tombstone"] = raw.Tombstone(testContext(t), &streams.TombstoneReq{Options: &streams.TombstoneReq_Options{
		StreamIdentifier: identifier("s"), ExpectedStreamRevision: &streams.TombstoneReq_Options_StreamExists{StreamExists: &shared.Empty{}},
	}})
	for name, err := range refused {
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "Event stream 's' is deleted.") {
			t.Errorf("%s: got %v, want a deleted stream", name, err)
		}
	}
	batch := batchOptions("s")
	batch.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamExists{}
	resp := sendBatch(t, s, &streams.BatchAppendReq{Options: batch, ProposedMessages: batchMessages(1)})
	if got := code.Code(resp.GetError().GetCode()); got != code.Code_NOT_FOUND {
		t.Errorf("batch append: got %v, want not found", got)
	}
}

// sendBatch sends the parts of a batch append and returns the response.
func sendBatch(t *testing.T, s *eventstored.Server, parts ...*streams.BatchAppendReq) *streams.BatchAppendResp {
	t.Helper()
	call, err := streams.NewStreamsClient(dial(t, s.Addr())).BatchAppend(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	id := stringUUID(uuid.New())
	for i, part := range parts {
		part.CorrelationId, part.IsFinal = id, i == len(parts)-1
		if err := call.Send(part); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := call.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// The first options of an append take effect, and the response does not repeat the expected revision.
func TestBatchAppendWithOptionsTwice(t *testing.T) {
	s, c := start(t)
	second := batchOptions("second")
	second.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: 7}
	resp := sendBatch(t, s,
		&streams.BatchAppendReq{Options: batchOptions("first"), ProposedMessages: batchMessages(1)},
		&streams.BatchAppendReq{Options: second, ProposedMessages: batchMessages(1)})
	if resp.GetSuccess().GetCurrentRevision() != 1 || string(resp.GetStreamIdentifier().GetStreamName()) != "first" {
		t.Errorf("got %v, want revision 1 of the first stream", resp)
	}
	refused := sendBatch(t, s, &streams.BatchAppendReq{Options: second, ProposedMessages: batchMessages(1)})
	if refused.GetError() == nil || resp.GetExpectedStreamPosition() != nil || refused.GetExpectedStreamPosition() != nil {
		t.Errorf("expectations %v and %v, want none", resp.GetExpectedStreamPosition(), refused.GetExpectedStreamPosition())
	}
	if n := len(positionsOf(t, c, "first")); n != 2 {
		t.Errorf("%d events in the first stream, want 2", n)
	}
}

// The Python client parses these texts.
func TestTextsThatClientsParse(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	raw := streams.NewStreamsClient(dial(t, s.Addr()))
	for stream, want := range map[string]string{"s": "Actual version: 2", "missing": "Actual version: -1"} {
		_, deletion := raw.Delete(testContext(t), &streams.DeleteReq{Options: &streams.DeleteReq_Options{
			StreamIdentifier: identifier(stream), ExpectedStreamRevision: &streams.DeleteReq_Options_Revision{Revision: 7},
		}})
		_, tombstone := raw.Tombstone(testContext(t), &streams.TombstoneReq{Options: &streams.TombstoneReq_Options{
			StreamIdentifier: identifier(stream), ExpectedStreamRevision: &streams.TombstoneReq_Options_Revision{Revision: 7},
		}})
		for _, err := range []error{deletion, tombstone} {
			if text := status.Convert(err).Message(); !strings.Contains(text, "WrongExpectedVersion") || !strings.Contains(text, want) {
				t.Errorf("%s: got %q, want %q", stream, text, want)
			}
		}
	}
	createGroup(t, c, func(s *esdb.PersistentSubscriptionSettings) { s.MaxSubscriberCount = 1 })
	receiveRaw(t, consumeRaw(t, s, 1))
	_, err := consumeRaw(t, s, 1).Recv()
	if text := status.Convert(err).Message(); !strings.HasPrefix(text, "Maximum subscriptions reached") {
		t.Errorf("too many consumers: got %q", text)
	}
}

// Clients that support it receive the bounds of a stream with its events.
func TestReadsWithTheBoundsOfTheStream(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(60)...)
	mustAppend(t, c, "cut", esdb.NoStream{}, newEvents(60)...)
	mustAppend(t, c, "nothing", esdb.NoStream{}, newEvents(3)...)
	setMetadata(t, c, "cut", `{"$tb":50}`)
	setMetadata(t, c, "nothing", `{"$tb":10}`)
	raw := streams.NewStreamsClient(dial(t, s.Addr()))
	for _, tt := range []struct {
		stream    string
		from      uint64
		backwards bool
		count     uint64
		want      string // bounds, and the number of events
	}{
		{"s", 0, false, 10, "10 events, last 59"},
		{"s", 55, false, 100, "5 events, last 59"},
		{"s", 10, true, 100, "11 events, last 59"},
		{"s", 60, false, 10, "last 59"},
		{"s", 1000, false, 10, "first 60, last 59"},
		{"s", 1000, true, 2, "2 events, last 59"},
		{"cut", 0, false, 2, "first 50, 2 events, last 59"},
		{"cut", 0, false, 1000, "first 50, 10 events, last 59"},
		{"cut", 20, false, 1000, "10 events, last 59"}, // finds the first event in its first lookup
		{"cut", 45, false, 2, "first 50, 2 events, last 59"},
		{"cut", 49, false, 2, "2 events, last 59"},
		{"cut", 10, true, 2, "last 59"},
		{"nothing", 0, false, 10, "first 3, last 2"},
		{"never", 0, false, 10, "not found"},
	} {
		for _, compatibility := range []uint32{0, 1} {
			read, err := raw.Read(testContext(t), readRequest(func(o *streams.ReadReq_Options) {
				o.GetStream().StreamIdentifier = identifier(tt.stream)
				o.GetStream().RevisionOption = &streams.ReadReq_Options_StreamOptions_Revision{Revision: tt.from}
				o.CountOption = &streams.ReadReq_Options_Count{Count: tt.count}
				if tt.backwards {
					o.ReadDirection = streams.ReadReq_Options_Backwards
				}
				o.ControlOption = &streams.ReadReq_Options_ControlOption{Compatibility: compatibility}
			}))
			if err != nil {
				t.Fatal(err)
			}
			got := describeRead(t, read)
			if compatibility == 0 {
				if strings.Contains(got, "first") || strings.Contains(got, "last") {
					t.Errorf("%+v without bounds: %s", tt, got)
				}
			} else if got != tt.want {
				t.Errorf("%+v: got %s", tt, got)
			}
		}
	}
}

func describeRead(t *testing.T, read streams.Streams_ReadClient) string {
	t.Helper()
	var parts []string
	events := 0
	for {
		m, err := read.Recv()
		if err == nil && m.GetEvent() != nil {
			events++
			continue
		}
		if events > 0 {
			parts = append(parts, fmt.Sprintf("%d events", events))
			events = 0
		}
		if errors.Is(err, io.EOF) {
			return strings.Join(parts, ", ")
		}
		if err != nil {
			t.Fatal(err)
		}
		switch c := m.GetContent().(type) {
		case *streams.ReadResp_FirstStreamPosition:
			parts = append(parts, fmt.Sprintf("first %d", c.FirstStreamPosition))
		case *streams.ReadResp_LastStreamPosition:
			parts = append(parts, fmt.Sprintf("last %d", c.LastStreamPosition))
		case *streams.ReadResp_StreamNotFound_:
			parts = append(parts, "not found")
		}
	}
}

// A name can be as long as an append.
func TestLongStreamNames(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	dir := t.TempDir()
	inDir := func(o *eventstored.Options) { o.Dir = dir }
	s, c := start(t, inDir)
	lengths := []int{4096, 4097, math.MaxUint16 - 1, math.MaxUint16, math.MaxUint16 + 1, 70_000, 1 << 20}
	name := func(length int) string { return strings.Repeat("n", length) }
	for i, length := range lengths {
		sub := subscribeStream(t, c, name(length), esdb.End{})
		mustAppend(t, c, name(length), esdb.NoStream{}, newEvents(i+2)...)
		if got := nextEvent(t, sub).StreamID; got != name(length) {
			t.Errorf("%d bytes: subscription gets an event of a stream of %d", length, len(got))
		}
	}
	setMetadata(t, c, name(70_000), `{"$maxCount":1}`)
	if report, err := s.Scavenge(testContext(t)); err != nil || report.Events == 0 {
		t.Errorf("scavenged %d events, %v", report.Events, err)
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := openAndVerify(t, dir); err != nil {
		t.Error(err)
	}
	_, c = start(t, inDir)
	for i, length := range lengths {
		want := i + 2
		if length == 70_000 {
			want = 1
		}
		if n := len(positionsOf(t, c, name(length))); n != want {
			t.Errorf("%d bytes: %d events, want %d", length, n, want)
		}
	}
}

// If there are a regular expression and prefixes, the first one takes effect. A filter with neither matches nothing.
func TestFilterWithBothOrNeither(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvent("Wanted"), newEvent("Other"))
	raw := streams.NewStreamsClient(dial(t, s.Addr()))
	for name, tt := range map[string]struct {
		expression *streams.ReadReq_Options_FilterOptions_Expression
		want       string
	}{
		"both":    {&streams.ReadReq_Options_FilterOptions_Expression{Regex: "^Oth", Prefix: []string{"Wanted"}}, "Other"},
		"neither": {&streams.ReadReq_Options_FilterOptions_Expression{}, ""},
	} {
		read, err := raw.Read(testContext(t), readRequest(ofAll, filtered(0), func(o *streams.ReadReq_Options) {
			o.GetFilter().Filter = &streams.ReadReq_Options_FilterOptions_EventType{EventType: tt.expression}
		}))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			m, err := read.Recv()
			if err != nil {
				break
			}
			got = append(got, m.GetEvent().GetEvent().GetMetadata()["type"])
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// Metadata is the data of the last event in $$S, of any type, if it was declared to be JSON and every setting in it is
// well-formed. Otherwise there is no metadata.
func TestWhatIsMetadata(t *testing.T) {
	_, c := start(t)
	for name, tt := range map[string]struct {
		event esdb.EventData
		want  int // readable of five events
	}{
		"metadata":          {metadataEvent(`{"$maxCount":2}`), 2},
		"another type":      {esdb.EventData{EventType: "settings", ContentType: esdb.ContentTypeJson, Data: []byte(`{"$maxCount":2}`)}, 2},
		"binary":            {esdb.EventData{EventType: "$metadata", ContentType: esdb.ContentTypeBinary, Data: []byte(`{"$maxCount":2}`)}, 5},
		"no JSON":           {metadataEvent(`nonsense`), 5},
		"nothing":           {metadataEvent(``), 5},
		"a wrong key":       {metadataEvent(`{"$maxCount":2,"$tb":"one"}`), 5},
		"a null":            {metadataEvent(`{"$maxCount":2,"$maxAge":null}`), 5},
		"a fraction":        {metadataEvent(`{"$maxCount":2.5}`), 5},
		"too large":         {metadataEvent(`{"$maxCount":2,"$tb":9223372036854775808}`), 5},
		"negative":          {metadataEvent(`{"$maxCount":2,"$tb":-1}`), 2},
		"cache control":     {metadataEvent(`{"$maxCount":2,"$cacheControl":"x"}`), 5},
		"access list":       {metadataEvent(`{"$maxCount":2,"$acl":{"$r":"$all","$w":["$admins","a"]}}`), 2},
		"wrong access list": {metadataEvent(`{"$maxCount":2,"$acl":{"$r":1}}`), 5},
		"access unknown":    {metadataEvent(`{"$maxCount":2,"$acl":{"$x":"a"}}`), 5},
		"keys of others":    {metadataEvent(`{"$maxCount":2,"$mine":"x","other":null}`), 2},
	} {
		t.Run(name, func(t *testing.T) {
			stream := "s " + name
			mustAppend(t, c, stream, esdb.NoStream{}, newEvents(5)...)
			setMetadata(t, c, stream, `{"$maxCount":1}`)
			tt.event.EventID = uuid.New()
			mustAppend(t, c, "$$"+stream, esdb.Any{}, tt.event)
			if n := len(positionsOf(t, c, stream)); n != tt.want {
				t.Errorf("%d events are readable, want %d", n, tt.want)
			}
		})
	}
}

// The position in the response to an append without events is between everything written before and everything written
// later. The response to a repeated append contains the event's position as long as the event can be read.
func TestPositionsOfAppendsThatWriteNothing(t *testing.T) {
	s, c := start(t)
	events := newEvents(3)
	before := mustAppend(t, c, "s", esdb.NoStream{}, events...)
	raw := streams.NewStreamsClient(dial(t, s.Addr()))
	for _, stream := range []string{"s", "never written"} {
		resp, _, err := sendAppend(t, raw, appendOptions(stream))
		if err != nil {
			t.Fatal(err)
		}
		nothing := resp.GetSuccess().GetPosition()
		after := mustAppend(t, c, "other", esdb.Any{}, newEvent("Happened"))
		if p := nothing.GetCommitPosition(); p <= before.CommitPosition || p >= after.CommitPosition || p != nothing.GetPreparePosition() {
			t.Errorf("%s: %v is not between %d and %d", stream, nothing, before.CommitPosition, after.CommitPosition)
		}
		before = after
	}
	for _, settings := range []string{`{"$maxCount":1}`, `{"$maxAge":1000}`, `{"$maxCount":2}`, `{"$tb":3}`} {
		setMetadata(t, c, "s", settings)
		readable := map[string]int{`{"$maxCount":1}`: 2, `{"$maxAge":1000}`: 0, `{"$maxCount":2}`: 1, `{"$tb":3}`: 3}[settings]
		for revision, e := range events {
			options := appendOptions("s")
			if revision == 0 {
				options.GetOptions().ExpectedStreamRevision = &streams.AppendReq_Options_NoStream{NoStream: &shared.Empty{}}
			}
			resp, _, err := sendAppend(t, raw, options, proposedMessage(func(m *streams.AppendReq_ProposedMessage) { m.Id = structuredID(e.EventID) }))
			if err != nil || resp.GetSuccess().GetCurrentRevision() != uint64(revision) {
				t.Fatalf("%s: got %v, %v, want revision %d", settings, resp, err, revision)
			}
			if got := resp.GetSuccess().GetPosition() != nil; got != (revision >= readable) {
				t.Errorf("%s, revision %d: got %v", settings, revision, resp.GetSuccess())
			}
		}
	}
}

// Clients of version 20.6 send the greatest revision for "no stream".
func TestExpectedNoStreamIsToldToOldClients(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	options := appendOptions("s")
	options.GetOptions().ExpectedStreamRevision = &streams.AppendReq_Options_NoStream{NoStream: &shared.Empty{}}
	resp, _, err := sendAppend(t, streams.NewStreamsClient(dial(t, s.Addr())), options, proposedMessage())
	w := resp.GetWrongExpectedVersion()
	if err != nil || w.GetExpectedNoStream() == nil || w.GetExpectedRevision_20_6_0() != math.MaxUint64 {
		t.Errorf("got %v, %v", resp, err)
	}
}

// consumeRaw connects a consumer to group g on stream s.
func consumeRaw(t *testing.T, s *eventstored.Server, buffer int32) persistent.PersistentSubscriptions_ReadClient {
	t.Helper()
	call, err := persistent.NewPersistentSubscriptionsClient(dial(t, s.Addr())).Read(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Options_{Options: &persistent.ReadReq_Options{
		StreamOption: &persistent.ReadReq_Options_StreamIdentifier{StreamIdentifier: identifier("s")}, GroupName: "g", BufferSize: buffer,
		UuidOption: &persistent.ReadReq_Options_UUIDOption{Content: &persistent.ReadReq_Options_UUIDOption_Structured{Structured: &shared.Empty{}}},
	}}}); err != nil {
		t.Fatal(err)
	}
	return call
}

func receiveRaw(t *testing.T, call persistent.PersistentSubscriptions_ReadClient) *persistent.ReadResp {
	t.Helper()
	m, err := call.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func nack(t *testing.T, call persistent.PersistentSubscriptions_ReadClient, action persistent.ReadReq_Nack_Action, id *shared.UUID) {
	t.Helper()
	if err := call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Nack_{Nack: &persistent.ReadReq_Nack{
		Action: action, Ids: []*shared.UUID{id},
	}}}); err != nil {
		t.Fatal(err)
	}
}

// Deliveries are counted from 0, including those that ended because a consumer left.
func TestRetryCountOfDeliveries(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvent("Happened"))
	createGroup(t, c, func(*esdb.PersistentSubscriptionSettings) {})
	for want := range int32(3) {
		sub := consumeRaw(t, s, 1)
		receiveRaw(t, sub) // confirmation
		count, ok := receiveRaw(t, sub).GetEvent().GetCount().(*persistent.ReadResp_ReadEvent_RetryCount)
		if !ok || count.RetryCount != want {
			t.Errorf("delivery %d: retry count %v", want, count)
		}
		if err := sub.CloseSend(); err != nil {
			t.Fatal(err)
		}
		for err := error(nil); err == nil; {
			_, err = sub.Recv()
		}
	}
}

// A replayed message comes with its parked event, and the consumer acknowledges it by that event's ID.
func TestReplayedMessageComesWithItsParkedEvent(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(2)...)
	createGroup(t, c, func(*esdb.PersistentSubscriptionSettings) {})
	sub := consumeRaw(t, s, 10)
	receiveRaw(t, sub)
	nack(t, sub, persistent.ReadReq_Nack_Park, receiveRaw(t, sub).GetEvent().GetEvent().GetId())
	receiveRaw(t, sub)
	if !waitFor(t, func() bool { return parkedCount(t, c) == 1 }) {
		t.Fatal("the message is not parked")
	}
	if err := c.ReplayParkedMessages(testContext(t), "s", "g", esdb.ReplayParkedMessagesOptions{}); err != nil {
		t.Fatal(err)
	}
	e := receiveRaw(t, sub).GetEvent()
	if e.GetEvent().GetStreamRevision() != 0 || string(e.GetEvent().GetStreamIdentifier().GetStreamName()) != "s" ||
		e.GetLink().GetMetadata()["type"] != "$>" || string(e.GetLink().GetData()) != "0@s" {
		t.Fatalf("got %v", e)
	}
	nack(t, sub, persistent.ReadReq_Nack_Park, e.GetLink().GetId())
	if !waitFor(t, func() bool { return parkedCount(t, c) == 1 }) {
		t.Fatal("the acknowledgment of the replayed message is ignored")
	}
}

func TestLargeBuffersOfGroupsAreTaken(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvent("Happened"))
	createGroup(t, c, func(s *esdb.PersistentSubscriptionSettings) {
		s.ReadBatchSize, s.LiveBufferSize, s.HistoryBufferSize = 5_001, 100_000, 100_000
	})
	sub := consumeRaw(t, s, math.MaxInt32)
	receiveRaw(t, sub)
	if e := receiveRaw(t, sub).GetEvent(); e.GetEvent() == nil {
		t.Errorf("got %v, want an event", e)
	}
}

func TestGroupSettingsThatFail(t *testing.T) {
	s, c := start(t)
	raw := persistent.NewPersistentSubscriptionsClient(dial(t, s.Addr()))
	for name, change := range map[string]func(*persistent.CreateReq_Settings){
		"live buffer too small":    func(s *persistent.CreateReq_Settings) { s.LiveBufferSize = s.GetReadBatchSize() },
		"history buffer too small": func(s *persistent.CreateReq_Settings) { s.HistoryBufferSize = s.GetReadBatchSize() },
		"unknown strategy":         func(s *persistent.CreateReq_Settings) { s.ConsumerStrategy = "Nonsense" },
	} {
		settings := &persistent.CreateReq_Settings{ReadBatchSize: 20, LiveBufferSize: 500, HistoryBufferSize: 500, ConsumerStrategy: "RoundRobin"}
		change(settings)
		var trailer metadata.MD
		_, err := raw.Create(testContext(t), &persistent.CreateReq{Options: &persistent.CreateReq_Options{
			StreamOption: &persistent.CreateReq_Options_Stream{Stream: &persistent.CreateReq_StreamOptions{StreamIdentifier: identifier("s")}},
			GroupName:    "g", Settings: settings,
		}}, grpc.Trailer(&trailer))
		for key, want := range map[string]string{"exception": "persistent-subscription-failed", "stream-name": "s", "group-name": "g"} {
			if got := trailer.Get(key); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %s is %q", name, key, got)
			}
		}
		if status.Code(err) != codes.Internal || len(trailer.Get("reason")) != 1 {
			t.Errorf("%s: got %v with reason %q", name, err, trailer.Get("reason"))
		}
	}
	if groups, err := c.ListAllPersistentSubscriptions(testContext(t), esdb.ListPersistentSubscriptionsOptions{}); err == nil && len(groups) > 0 {
		t.Errorf("%d groups were created", len(groups))
	}
}

// Stop ends nothing: the message is no longer in flight, and the consumer gets the next one.
func TestNackStopKeepsTheConsumer(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(2)...)
	createGroup(t, c, func(*esdb.PersistentSubscriptionSettings) {})
	sub := consumeRaw(t, s, 1)
	receiveRaw(t, sub)
	nack(t, sub, persistent.ReadReq_Nack_Stop, receiveRaw(t, sub).GetEvent().GetEvent().GetId())
	if got := receiveRaw(t, sub).GetEvent().GetEvent().GetStreamRevision(); got != 1 {
		t.Errorf("got revision %d, want 1", got)
	}
}

func TestTombstoneDropsConsumers(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(2)...)
	createGroup(t, c, func(*esdb.PersistentSubscriptionSettings) {})
	connected := consumeRaw(t, s, 10)
	for range 3 { // confirmation and two events
		receiveRaw(t, connected)
	}
	mustTombstone(t, c, "s", esdb.Any{})
	later := consumeRaw(t, s, 10)
	for name, sub := range map[string]persistent.PersistentSubscriptions_ReadClient{"connected": connected, "later": later} {
		var err error
		for err == nil {
			_, err = sub.Recv()
		}
		if got := sub.Trailer().Get("exception"); !slices.Equal(got, []string{"persistent-subscription-dropped"}) {
			t.Errorf("%s: got %v, %v, want a dropped subscription", name, err, got)
		}
	}
}

// Consumers of a live group receive every event of a stream, including events that a read does not return.
func TestLiveGroupsGetWhatReadsDoNotShow(t *testing.T) {
	for _, metadata := range []string{`{"$maxCount":2}`, `{"$tb":10}`} {
		t.Run(metadata, func(t *testing.T) {
			s, c := start(t)
			mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
			createGroup(t, c, func(*esdb.PersistentSubscriptionSettings) {})
			sub := consumeRaw(t, s, 100)
			receiveRaw(t, sub) // confirmation
			for want := range uint64(8) {
				if want == 3 {
					setMetadata(t, c, "s", metadata)
					mustAppend(t, c, "s", esdb.Any{}, newEvents(5)...)
				}
				if got := receiveRaw(t, sub).GetEvent().GetEvent().GetStreamRevision(); got != want {
					t.Fatalf("got revision %d, want %d", got, want)
				}
			}
		})
	}
}
