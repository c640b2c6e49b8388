package eventstored_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/adapters/eventstored"
)

func subscribeAll(t testing.TB, c *esdb.Client, opts esdb.SubscribeToAllOptions) *esdb.Subscription {
	t.Helper()
	sub, err := c.SubscribeToAll(testContext(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() }) // always nil
	return sub
}

func subscribeStream(t testing.TB, c *esdb.Client, stream string, from esdb.StreamPosition) *esdb.Subscription {
	t.Helper()
	sub, err := c.SubscribeToStream(testContext(t), stream, esdb.SubscribeToStreamOptions{From: from})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() }) // always nil
	return sub
}

// nextEvent returns the next event, skipping checkpoints and CaughtUp.
func nextEvent(t testing.TB, sub *esdb.Subscription) *esdb.RecordedEvent {
	t.Helper()
	for {
		switch e := sub.Recv(); {
		case e.EventAppeared != nil:
			return e.EventAppeared.Event
		case e.SubscriptionDropped != nil:
			t.Fatalf("subscription dropped: %v", e.SubscriptionDropped.Error)
		}
	}
}

func kindOf(e *esdb.SubscriptionEvent) string {
	switch {
	case e.EventAppeared != nil:
		return fmt.Sprintf("event %d", e.EventAppeared.Event.EventNumber)
	case e.CheckPointReached != nil:
		return "checkpoint"
	case e.CaughtUp != nil:
		return "caught up"
	case e.SubscriptionDropped != nil:
		return fmt.Sprintf("dropped: %v", e.SubscriptionDropped.Error)
	default:
		return "unknown"
	}
}

func TestSubscribeToStreamStarts(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	for _, tt := range []struct {
		name string
		from esdb.StreamPosition
		want []string
	}{
		{"start", esdb.Start{}, []string{"event 0", "event 1", "event 2", "caught up", "event 3"}},
		{"revision is exclusive", esdb.Revision(1), []string{"event 2", "caught up", "event 3"}},
		{"last revision", esdb.Revision(2), []string{"caught up", "event 3"}},
		{"end", esdb.End{}, []string{"caught up", "event 3"}},
		{"future revision", esdb.Revision(3), []string{"caught up", "event 4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stream := "s-" + tt.name
			mustAppend(t, c, stream, esdb.NoStream{}, newEvents(3)...)
			sub := subscribeStream(t, c, stream, tt.from)
			var got []string
			for range tt.want {
				e := sub.Recv()
				got = append(got, kindOf(e))
				if e.CaughtUp != nil {
					mustAppend(t, c, stream, esdb.Revision(2), newEvents(2)...)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSubscribeToStreamThatIsStillMissing(t *testing.T) {
	_, c := start(t)
	for name, from := range map[string]esdb.StreamPosition{"start": esdb.Start{}, "end": esdb.End{}} {
		sub := subscribeStream(t, c, "later-"+name, from)
		if got := kindOf(sub.Recv()); got != "caught up" {
			t.Fatalf("got %s, want caught up", got)
		}
		mustAppend(t, c, "later-"+name, esdb.NoStream{}, newEvents(2)...)
		if e := nextEvent(t, sub); e.EventNumber != 0 {
			t.Errorf("from %s: first event has revision %d", name, e.EventNumber)
		}
	}
}

func TestSubscribeToAllStarts(t *testing.T) {
	_, c := start(t)
	for range 3 {
		mustAppend(t, c, "s", esdb.Any{}, newEvent("Happened"))
	}
	p := positions(readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, 100))
	for name, tt := range map[string]struct {
		from esdb.AllPosition
		want []uint64
	}{
		"start":                 {esdb.Start{}, p},
		"position is exclusive": {esdb.Position{Commit: p[0], Prepare: p[0]}, p[1:]},
		"last position":         {esdb.Position{Commit: p[2], Prepare: p[2]}, nil},
		"end":                   {esdb.End{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sub := subscribeAll(t, c, esdb.SubscribeToAllOptions{From: tt.from})
			var got []uint64
			e := sub.Recv()
			for ; e.EventAppeared != nil; e = sub.Recv() {
				got = append(got, e.EventAppeared.Event.Position.Commit)
			}
			if e.CaughtUp == nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v and then %s, want %v and then caught up", got, kindOf(e), tt.want)
			}
		})
	}
}

// From the past into the present, while many clients write: each subscription receives every event once, in order,
// whether filtered or not and whenever it begins.
func TestCatchUpToLiveWithoutGapOrRepeat(t *testing.T) {
	const writers, each, subscribers = 8, 150, 4
	_, c := start(t)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				_, err := c.AppendToStream(testContext(t), fmt.Sprintf("w%d", w),
					esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, newEvents(1+i%3)...)
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	const total = writers * (each / 3) * (1 + 2 + 3)
	seen := make([][]uint64, subscribers)
	var reading sync.WaitGroup
	for i := range subscribers {
		opts := esdb.SubscribeToAllOptions{From: esdb.Start{}}
		if i%2 == 1 {
			opts.Filter = &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"w"}}
		}
		sub := subscribeAll(t, c, opts)
		reading.Go(func() {
			last := uint64(0)
			for len(seen[i]) < total {
				e := sub.Recv()
				switch {
				case e.EventAppeared != nil:
					seen[i] = append(seen[i], e.EventAppeared.Event.Position.Commit)
					last = e.EventAppeared.Event.Position.Commit
				case e.CheckPointReached != nil && e.CheckPointReached.Commit < last:
					t.Errorf("checkpoint %d after event %d", e.CheckPointReached.Commit, last)
				case e.SubscriptionDropped != nil:
					t.Errorf("subscriber %d dropped: %v", i, e.SubscriptionDropped.Error)
					return
				}
			}
		})
	}
	writing.Wait()
	reading.Wait()
	want := positions(readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, everything))
	if len(want) != total {
		t.Fatalf("log has %d events, want %d", len(want), total)
	}
	for i := range seen {
		if !slices.Equal(seen[i], want) {
			t.Errorf("subscriber %d saw %d events in another order or number", i, len(seen[i]))
		}
	}
}

func TestFilters(t *testing.T) {
	_, c := start(t)
	for _, stream := range []string{"order-1", "invoice-1", "$system", "other"} {
		for _, eventType := range []string{"Placed", "Paid", "$internal"} {
			mustAppend(t, c, stream, esdb.Any{}, esdb.EventData{
				EventID: uuid.New(), EventType: eventType, ContentType: esdb.ContentTypeJson, Data: []byte("{}"),
			})
		}
	}
	for name, tt := range map[string]struct {
		filter *esdb.SubscriptionFilter
		want   string
	}{
		"stream prefixes": {
			&esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"order-", "invoice-"}},
			"order-1/Placed order-1/Paid order-1/$internal invoice-1/Placed invoice-1/Paid invoice-1/$internal",
		},
		"stream regex": {
			&esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Regex: `^(oth|inv).*[^1]$`},
			"other/Placed other/Paid other/$internal",
		},
		"type prefixes": {
			&esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"Pa"}},
			"order-1/Paid invoice-1/Paid $system/Paid other/Paid",
		},
		"type regex": {
			&esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: "^P.*d$"},
			"order-1/Placed order-1/Paid invoice-1/Placed invoice-1/Paid $system/Placed $system/Paid other/Placed other/Paid",
		},
		"no system events": {
			esdb.ExcludeSystemEventsFilter(),
			"order-1/Placed order-1/Paid invoice-1/Placed invoice-1/Paid $system/Placed $system/Paid other/Placed other/Paid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			sub := subscribeAll(t, c, esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: tt.filter})
			var got []string
			for e := sub.Recv(); e.CaughtUp == nil; e = sub.Recv() {
				if e.EventAppeared != nil {
					got = append(got, e.EventAppeared.Event.StreamID+"/"+e.EventAppeared.Event.EventType)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), tt.want)
			}
		})
	}
}

// In a long log, few streams are found by their names. The result is the same as when every event is read.
func TestFewStreamsOfALongLog(t *testing.T) {
	_, c := start(t)
	filler := newEvents(100)
	for i := range filler {
		filler[i].Data = bytes.Repeat([]byte("x"), 10_000)
	}
	write := func(stream string, n int) { mustAppend(t, c, stream, esdb.Any{}, newEvents(n)...) }
	var middle esdb.Position
	for i := range 10 {
		mustAppend(t, c, fmt.Sprint("filler-", i), esdb.Any{}, newEvents(1)...)
		mustAppend(t, c, fmt.Sprint("filler-", i), esdb.Any{}, sameData(filler)...)
		write("hook-a", 2)
		write("hook-"+fmt.Sprint(i), 1)
		write("hookless", 1)
		if i == 4 {
			middle = lastPosition(t, c)
		}
	}
	if _, err := c.SetStreamMetadata(testContext(t), "hook-a", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, maxCount(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteStream(testContext(t), "hook-3", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.TombstoneStream(testContext(t), "hook-5", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]esdb.AllPosition{"start": esdb.Start{}, "middle": middle} {
		t.Run(name, func(t *testing.T) {
			list := func(f *esdb.SubscriptionFilter) (got []string) {
				f.Type = esdb.StreamFilterType
				sub := subscribeAll(t, c, esdb.SubscribeToAllOptions{From: from, Filter: f})
				e := sub.Recv()
				for ; e.CaughtUp == nil; e = sub.Recv() {
					if r := e.EventAppeared; r != nil {
						got = append(got, fmt.Sprintf("%s/%d at %d", r.OriginalEvent().StreamID, r.OriginalEvent().EventNumber, r.OriginalEvent().Position.Commit))
					}
				}
				write("hook-late", 1)
				late := nextEvent(t, sub)
				return append(got, late.StreamID)
			}
			want := list(&esdb.SubscriptionFilter{Regex: "^hook-"})
			got := list(&esdb.SubscriptionFilter{Prefixes: []string{"hook-", "hook-a", "nothing-"}})
			want = append(want[:len(want)-1], got[len(got)-2:]...) // the one that the first subscription added
			if !slices.Equal(got, want) || len(got) < 16 {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func sameData(events []esdb.EventData) []esdb.EventData {
	fresh := slices.Clone(events)
	for i := range fresh {
		fresh[i].EventID = uuid.New()
	}
	return fresh
}

func maxCount(n uint64) esdb.StreamMetadata {
	var m esdb.StreamMetadata
	m.SetMaxCount(n)
	return m
}

func lastPosition(t *testing.T, c *esdb.Client) esdb.Position {
	t.Helper()
	s, err := c.ReadAll(testContext(t), esdb.ReadAllOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return e.OriginalEvent().Position
}

func TestFiltersThatAreRefused(t *testing.T) {
	_, c := start(t)
	_, err := c.SubscribeToAll(testContext(t), esdb.SubscribeToAllOptions{
		From:   esdb.Start{},
		Filter: &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: "(unclosed"},
	})
	if err == nil || !strings.Contains(err.Error(), "InvalidArgument") {
		t.Errorf("got %v, want invalid argument", err)
	}
}

// A checkpoint comes after a fixed number of considered events, whether they matched or not, and on going live. A
// subscriber that resumes from one misses nothing and sees nothing twice.
func TestCheckpoints(t *testing.T) {
	_, c := start(t)
	const n, window, interval = 100, 4, 3
	for range n {
		mustAppend(t, c, "quiet", esdb.Any{}, newEvent("Ignored"))
	}
	filter := &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"Wanted"}}
	opts := esdb.SubscribeToAllOptions{
		From: esdb.Start{}, Filter: filter, MaxSearchWindow: window, CheckpointInterval: interval,
	}
	log := positions(readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, n))
	sub := subscribeAll(t, c, opts)
	for i := window*interval - 1; i < n; i += window * interval {
		if e := sub.Recv(); e.CheckPointReached == nil || e.CheckPointReached.Commit != log[i] {
			t.Fatalf("got %s, want a checkpoint at event %d", kindOf(e), i)
		}
	}
	e := sub.Recv()
	if e.CheckPointReached == nil || e.CheckPointReached.Commit != log[n-1] {
		t.Fatalf("got %s, want a checkpoint at the end", kindOf(e))
	}
	if got := kindOf(sub.Recv()); got != "caught up" {
		t.Fatalf("got %s, want caught up", got)
	}
	wanted := newEvent("Wanted")
	mustAppend(t, c, "loud", esdb.Any{}, newEvent("Ignored"), wanted, newEvent("Ignored"))
	if got := nextEvent(t, sub); got.EventID != wanted.EventID {
		t.Fatal("another event")
	}
	opts.From = *e.CheckPointReached
	if got := nextEvent(t, subscribeAll(t, c, opts)); got.EventID != wanted.EventID {
		t.Fatal("another event after resuming from the checkpoint")
	}
}

// A subscriber that does not read costs the writers nothing, and receives everything when it reads again.
func TestSlowSubscriber(t *testing.T) {
	_, c := start(t)
	sub := subscribeAll(t, c, esdb.SubscribeToAllOptions{From: esdb.Start{}})
	streamSub := subscribeStream(t, c, "s", esdb.Start{})
	const n, batch = 60, 40
	large := make([]byte, 20_000)
	for range n { // 48 MB: more than flow control and the newest records in memory can hold
		events := newEvents(batch)
		for i := range events {
			events[i].Data = large
		}
		mustAppend(t, c, "s", esdb.Any{}, events...)
	}
	for i := range uint64(n * batch) {
		if got := nextEvent(t, sub).EventNumber; got != i {
			t.Fatalf("event %d of $all has revision %d", i, got)
		}
		if got := nextEvent(t, streamSub).EventNumber; got != i {
			t.Fatalf("event %d of the stream has revision %d", i, got)
		}
	}
	if got := kindOf(sub.Recv()); got != "caught up" { // once again, because it had fallen behind
		t.Errorf("got %s, want caught up", got)
	}
}

// The same for one stream: subscribers that begin in its past, at its end, or before it exists receive every later
// event once and in order, while several clients write.
func TestStreamCatchUpToLiveWithoutGapOrRepeat(t *testing.T) {
	const writers, each = 6, 80
	_, c := start(t)
	subs := []*esdb.Subscription{subscribeStream(t, c, "s", esdb.Start{})}
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for i := range each {
				_, err := c.AppendToStream(testContext(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, newEvents(1+i%2)...)
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	const total = writers * each * 3 / 2
	for i := range 4 {
		from := []esdb.StreamPosition{esdb.Start{}, esdb.End{}, esdb.Revision(10), esdb.Revision(total / 2)}[i]
		subs = append(subs, subscribeStream(t, c, "s", from))
	}
	var reading sync.WaitGroup
	for i, sub := range subs {
		reading.Go(func() {
			for next := uint64(0); ; next++ {
				got := nextEvent(t, sub).EventNumber
				switch {
				case next == 0:
					next = got
				case got != next:
					t.Errorf("subscriber %d: revision %d, want %d", i, got, next)
					return
				}
				if got >= total-1 {
					return
				}
			}
		})
	}
	writing.Wait()
	mustAppend(t, c, "s", esdb.Any{}, newEvent("Last")) // for clients that subscribed at the very end
	reading.Wait()
}

// A subscriber that reads nothing does not delay those that do.
func TestSlowSubscriberHoldsUpNobody(t *testing.T) {
	s, c := start(t)
	subscribeAll(t, connect(t, s.TCPURL()), esdb.SubscribeToAllOptions{From: esdb.Start{}}) // never read
	fast := subscribeAll(t, c, esdb.SubscribeToAllOptions{From: esdb.Start{}})
	large := make([]byte, 50_000)
	for i := range uint64(400) { // 20 MB
		e := newEvent("Large")
		e.Data = large
		mustAppend(t, c, "s", esdb.Any{}, e)
		if got := nextEvent(t, fast); got.EventNumber != i {
			t.Fatalf("revision %d, want %d", got.EventNumber, i)
		}
	}
}

func TestTombstoneEndsSubscription(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvent("Happened"))
	sub := subscribeStream(t, c, "s", esdb.Start{})
	for e := sub.Recv(); e.CaughtUp == nil; e = sub.Recv() {
		if e.SubscriptionDropped != nil {
			t.Fatal(e.SubscriptionDropped.Error)
		}
	}
	mustTombstone(t, c, "s", esdb.Any{})
	if e := nextEvent(t, sub); e.EventType != "$streamDeleted" {
		t.Fatalf("got %s", e.EventType)
	}
	e := sub.Recv()
	if e.SubscriptionDropped == nil || status.Code(e.SubscriptionDropped.Error) != codes.FailedPrecondition {
		t.Fatalf("got %s, want the end of the subscription", kindOf(e))
	}
	if _, err := c.SubscribeToStream(testContext(t), "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}}); err == nil {
		t.Fatal("a tombstoned stream can be subscribed to")
	}
}

func TestCloseEndsSubscriptions(t *testing.T) {
	s, c := start(t)
	all := subscribeAll(t, c, esdb.SubscribeToAllOptions{From: esdb.Start{}})
	stream := subscribeStream(t, c, "s", esdb.Start{})
	for _, sub := range []*esdb.Subscription{all, stream} {
		if got := kindOf(sub.Recv()); got != "caught up" {
			t.Fatal(got)
		}
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []*esdb.Subscription{all, stream} {
		e := sub.Recv()
		if e.SubscriptionDropped == nil || status.Code(e.SubscriptionDropped.Error) != codes.Unavailable {
			t.Errorf("got %s, want unavailable", kindOf(e))
		}
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// Close must not wait for a client that receives nothing.
func TestCloseDoesNotWaitForStuckClients(t *testing.T) {
	s, c := start(t, func(o *eventstored.Options) { o.MaxAppendBytes = 16 << 20 })
	subscribeAll(t, c, esdb.SubscribeToAllOptions{From: esdb.Start{}})
	for range 20 {
		e := newEvent("Large")
		e.Data = make([]byte, 900_000)
		mustAppend(t, c, "s", esdb.Any{}, e)
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func TestSubscriptionEndsWithItsContext(t *testing.T) {
	_, c := start(t)
	ctx, cancel := context.WithCancel(testContext(t))
	sub, err := c.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{From: esdb.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	if got := kindOf(sub.Recv()); got != "caught up" {
		t.Fatal(got)
	}
	cancel()
	e := sub.Recv()
	if e.SubscriptionDropped == nil || !errors.Is(ctx.Err(), context.Canceled) {
		t.Fatalf("got %s", kindOf(e))
	}
}

// With a live buffer, a live subscription is dropped when more events wait for it, as in EventStoreDB. One that is
// catching up is not.
func TestLiveBuffer(t *testing.T) {
	ctx := testContext(t)
	_, client := start(t, func(o *eventstored.Options) { o.LiveBuffer = 4 })
	appendMany := func(count int) {
		t.Helper()
		events := make([]esdb.EventData, count)
		for i := range events {
			events[i] = esdb.EventData{EventID: uuid.New(), EventType: "Counted", ContentType: esdb.ContentTypeJson, Data: []byte("{}")}
		}
		if _, err := client.AppendToStream(ctx, "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, events...); err != nil {
			t.Fatal(err)
		}
	}
	appendMany(10)
	sub, err := client.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: esdb.ExcludeSystemEventsFilter()})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	received := 0
	next := func() *esdb.SubscriptionEvent {
		for {
			e := sub.Recv()
			if e.EventAppeared != nil {
				received++
			}
			if e.CaughtUp != nil || e.SubscriptionDropped != nil || e.EventAppeared != nil && received == 14 {
				return e
			}
		}
	}
	if e := next(); e.CaughtUp == nil || received != 10 {
		t.Fatalf("%d events and then %+v, want 10 and that it caught up", received, e)
	}
	appendMany(4)
	if e := next(); e.EventAppeared == nil {
		t.Fatalf("with 4 events waiting: %+v", e)
	}
	appendMany(5)
	if e := next(); e.SubscriptionDropped == nil || status.Code(e.SubscriptionDropped.Error) != codes.Aborted || received != 14 {
		t.Fatalf("with 5 events waiting, after %d in all: %+v, want Aborted", received, e)
	}
}
