package eventstored_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/adapters/eventstored"
)

// createGroup creates group g on stream s.
func createGroup(t *testing.T, c *esdb.Client, change func(*esdb.PersistentSubscriptionSettings)) {
	t.Helper()
	settings := esdb.SubscriptionSettingsDefault()
	change(&settings)
	opts := esdb.PersistentStreamSubscriptionOptions{StartFrom: esdb.Start{}, Settings: &settings}
	if err := c.CreatePersistentSubscription(testContext(t), "s", "g", opts); err != nil {
		t.Fatal(err)
	}
}

func consume(t *testing.T, c *esdb.Client, slots uint32) *esdb.PersistentSubscription {
	t.Helper()
	sub, err := c.SubscribeToPersistentSubscription(testContext(t), "s", "g", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: slots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() }) // always nil
	return sub
}

func receive(t *testing.T, sub *esdb.PersistentSubscription) (*esdb.ResolvedEvent, int) {
	t.Helper()
	e := sub.Recv()
	if e.EventAppeared == nil {
		t.Fatalf("dropped: %v", e.SubscriptionDropped.Error)
	}
	return e.EventAppeared.Event, e.EventAppeared.RetryCount
}

func parkedCount(t *testing.T, c *esdb.Client) int64 {
	t.Helper()
	info, err := c.GetPersistentSubscriptionInfo(testContext(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info.Stats.ParkedMessagesCount
}

// Competing consumers receive every message exactly once between them.
func TestGroupSharesMessages(t *testing.T) {
	_, c := start(t)
	createGroup(t, c, func(*esdb.PersistentSubscriptionSettings) {})
	const consumers, total = 3, 300
	var mu sync.Mutex
	var seen []uint64
	var wg sync.WaitGroup
	share := make([]int, consumers)
	for i := range consumers {
		sub := consume(t, c, 5)
		wg.Go(func() {
			for {
				e := sub.Recv()
				if e.EventAppeared == nil {
					return
				}
				if err := sub.Ack(e.EventAppeared.Event); err != nil {
					return
				}
				mu.Lock()
				seen = append(seen, e.EventAppeared.Event.OriginalEvent().EventNumber)
				share[i]++
				all := len(seen) == total
				mu.Unlock()
				if all {
					mustDropGroup(t, c)
				}
			}
		})
	}
	for range total / 30 {
		mustAppend(t, c, "s", esdb.Any{}, newEvents(30)...)
	}
	wg.Wait()
	slices.Sort(seen)
	for i, r := range seen {
		if r != uint64(i) {
			t.Fatalf("message %d was received as number %d", r, i)
		}
	}
	if len(seen) != total || slices.Contains(share, 0) {
		t.Errorf("%d of %d messages, shared as %v", len(seen), total, share)
	}
}

func mustDropGroup(t *testing.T, c *esdb.Client) {
	t.Helper()
	if err := c.DeletePersistentSubscription(testContext(t), "s", "g", esdb.DeletePersistentSubscriptionOptions{}); err != nil {
		t.Error(err)
	}
}

// A message that is not acknowledged in time is sent again, and finally parked. Replayed, it comes once again.
func TestGroupRetriesParksAndReplays(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(2)...)
	createGroup(t, c, func(s *esdb.PersistentSubscriptionSettings) { s.MessageTimeout, s.MaxRetryCount = 200, 2 })
	sub := consume(t, c, 1)
	for want := range 3 { // once, and two retries; never acknowledged
		if e, retries := receive(t, sub); e.OriginalEvent().EventNumber != 0 || retries != want {
			t.Fatalf("got event %d, retry %d; want event 0, retry %d", e.OriginalEvent().EventNumber, retries, want)
		}
	}
	e, _ := receive(t, sub)
	if e.OriginalEvent().EventNumber != 1 {
		t.Fatalf("got event %d, want the next one", e.OriginalEvent().EventNumber)
	}
	if err := sub.Nack("does not fit", esdb.NackActionPark, e); err != nil {
		t.Fatal(err)
	}
	parked := waitFor(t, func() bool { return parkedCount(t, c) == 2 })
	if !parked {
		t.Fatalf("%d messages are parked, want 2", parkedCount(t, c))
	}
	links, err := readStream(t, c, "$persistentsubscription-s::g-parked", esdb.ReadStreamOptions{ResolveLinkTos: true})
	if err != nil || len(links) != 2 || links[0].Event.EventNumber != 0 || links[1].Event.EventNumber != 1 {
		t.Fatalf("parked: %d, %v", len(links), err)
	}
	if err := c.ReplayParkedMessages(testContext(t), "s", "g", esdb.ReplayParkedMessagesOptions{StopAt: 1}); err != nil {
		t.Fatal(err)
	}
	e, retries := receive(t, sub)
	for e.OriginalEvent().EventNumber == 1 && retries > 0 { // sent again before its acknowledgment arrived
		e, retries = receive(t, sub)
	}
	if e.OriginalEvent().EventNumber != 0 {
		t.Fatalf("got event %d, want the first parked one", e.OriginalEvent().EventNumber)
	}
	if err := sub.Ack(e); err != nil {
		t.Fatal(err)
	}
	if n := parkedCount(t, c); n != 1 {
		t.Errorf("%d messages are parked, want 1", n)
	}
}

func waitFor(t *testing.T, ok func() bool) bool {
	t.Helper()
	ctx := testContext(t)
	for ctx.Err() == nil {
		if ok() {
			return true
		}
	}
	return false
}

// After a restart of the server, a group continues where it was: no unacknowledged message is lost.
func TestGroupResumesAfterRestart(t *testing.T) {
	dir := t.TempDir()
	inDir := func(o *eventstored.Options) { o.Dir = dir }
	s, c := start(t, inDir)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(10)...)
	createGroup(t, c, func(s *esdb.PersistentSubscriptionSettings) { s.CheckpointLowerBound, s.CheckpointUpperBound = 1, 1 })
	sub := consume(t, c, 10)
	for range 10 {
		e, _ := receive(t, sub)
		if n := e.OriginalEvent().EventNumber; n != 4 && n != 7 {
			if err := sub.Ack(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	inFlight := func() bool {
		info, err := c.GetPersistentSubscriptionInfo(testContext(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return info.Stats.TotalInFlightMessages == 2
	}
	if !waitFor(t, inFlight) {
		t.Fatal("the acknowledgments do not arrive")
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	_, c = start(t, inDir)
	sub = consume(t, c, 10)
	for want := uint64(4); want < 10; want++ { // from the first unacknowledged message
		if e, _ := receive(t, sub); e.OriginalEvent().EventNumber != want {
			t.Fatalf("got event %d, want %d", e.OriginalEvent().EventNumber, want)
		}
	}
}

// When a consumer leaves, its unacknowledged messages go to another one.
func TestGroupGivesMessagesBack(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	createGroup(t, c, func(*esdb.PersistentSubscriptionSettings) {})
	first := consume(t, c, 10)
	for range 3 {
		receive(t, first)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := consume(t, c, 10)
	for want := range uint64(3) {
		if e, _ := receive(t, second); e.OriginalEvent().EventNumber != want {
			t.Fatalf("got event %d, want %d", e.OriginalEvent().EventNumber, want)
		}
	}
}

// A group on $all does not receive its own events.
func TestGroupOnAll(t *testing.T) {
	_, c := start(t)
	settings := esdb.SubscriptionSettingsDefault()
	settings.CheckpointLowerBound, settings.CheckpointUpperBound = 1, 1
	err := c.CreatePersistentSubscriptionToAll(testContext(t), "g", esdb.PersistentAllSubscriptionOptions{
		StartFrom: esdb.Start{}, Settings: &settings,
	})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := c.SubscribeToPersistentSubscriptionToAll(testContext(t), "g", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() }) // always nil
	for i := range 5 {
		mustAppend(t, c, fmt.Sprintf("s%d", i), esdb.NoStream{}, newEvent("Happened"))
	}
	for i := 0; i < 5; {
		e, _ := receive(t, sub)
		switch e.OriginalEvent().StreamID {
		case fmt.Sprintf("s%d", i):
			i++
		case "$persistentSubscriptionConfig":
		default:
			t.Fatalf("got an event of %s", e.OriginalEvent().StreamID)
		}
		if err := sub.Ack(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, everything) {
		if len(e.Event.StreamID) > 29 && e.Event.StreamID[:29] == "$persistentsubscription-$all:" {
			t.Errorf("%s is part of $all", e.Event.StreamID)
		}
	}
}
