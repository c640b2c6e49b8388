package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/app/event"
)

// rawClient is the official client, to write and see what the Log would not.
func rawClient(t testing.TB, url string) *esdb.Client {
	t.Helper()
	config, err := esdb.ParseConnectionString(url)
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func rawAppend(t testing.TB, c *esdb.Client, stream string, events ...esdb.EventData) {
	t.Helper()
	for i := range events {
		events[i].EventID = uuid.New()
	}
	if _, err := c.AppendToStream(testContext(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, events...); err != nil {
		t.Fatal(err)
	}
}

// contents are what a copy must take over, in its order: all but the identity and
// the streams' metadata, whose places are the store's affair.
func contents(t testing.TB, c *esdb.Client) []string {
	t.Helper()
	r, err := c.ReadAll(testContext(t), esdb.ReadAllOptions{From: esdb.Start{}}, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []string
	for {
		e, err := r.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		o := e.OriginalEvent()
		id := o.EventID.String()
		if o.EventType == "$streamDeleted" {
			id = "" // the store's own
		}
		if o.StreamID == event.LogStream || strings.HasPrefix(o.StreamID, "$") {
			continue
		}
		all = append(all, fmt.Sprintf("%s/%d %s %s %s %q %q", o.StreamID, o.EventNumber, id, o.EventType, o.ContentType, o.Data, o.UserMetadata))
	}
}

// fillSource writes a log as the platform does, with streams among it that are
// limited, deleted, revived and tombstoned.
func fillSource(t testing.TB, url string) *eventstore.Log {
	t.Helper()
	ctx := testContext(t)
	log := openLog(t, url)
	if _, err := log.EnsureOpened(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	c := rawClient(t, url)
	binary := esdb.EventData{EventType: "Scanned", ContentType: esdb.ContentTypeBinary, Data: []byte{0, 1, 2, 0xff}}
	rawAppend(t, c, "binary", binary, binary)
	plain := esdb.EventData{EventType: "Plain", ContentType: esdb.ContentTypeJson, Data: []byte(`{}`)}
	for _, stream := range []string{"limited", "deleted", "revived", "tombstoned"} {
		rawAppend(t, c, stream, plain, plain, plain)
	}
	limit := esdb.StreamMetadata{}
	limit.SetMaxCount(2)
	if _, err := c.SetStreamMetadata(ctx, "limited", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, limit); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"deleted", "revived"} {
		if _, err := c.DeleteStream(ctx, stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
			t.Fatal(err)
		}
	}
	rawAppend(t, c, "revived", plain)
	if _, err := c.TombstoneStream(ctx, "tombstoned", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
		t.Fatal(err)
	}
	appendMore(t, log, 0, 1500)
	return log
}

// appendMore writes events from..to, each message's among those of others.
func appendMore(t testing.TB, log *eventstore.Log, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if _, err := log.Append(testContext(t), fmt.Sprintf("message-%d", n%97), event.Any(), count(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func mustCopy(t testing.TB, from, to *eventstore.Log) eventstore.Copied {
	t.Helper()
	copied, err := eventstore.Copy(testContext(t), eventstore.CopyOptions{From: from, To: to, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

func TestCopy(t *testing.T) {
	ctx := testContext(t)
	source, target := startStore(t), startStore(t)
	from := fillSource(t, source.url())
	to := openLog(t, target.url())
	copied := mustCopy(t, from, to)

	want := contents(t, rawClient(t, source.url()))
	if got := contents(t, rawClient(t, target.url())); !slices.Equal(got, want) {
		t.Fatalf("the copy has %d events, the source %d, or in another order", len(got), len(want))
	}
	ours, err := to.EnsureOpened(ctx, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := from.EnsureOpened(ctx, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if ours == theirs || ours != copied.Identity {
		t.Errorf("identity %s, the source's %s, told %s", ours, theirs, copied.Identity)
	}
	for _, stream := range []string{"limited", "deleted", "revived", "tombstoned"} {
		if got, want := readable(t, target.url(), stream), readable(t, source.url(), stream); got != want {
			t.Errorf("%s reads as %s, in the source as %s", stream, got, want)
		}
	}
	// What the source has got meanwhile is taken over by a second copy.
	appendMore(t, from, 1500, 1600)
	again := mustCopy(t, from, to)
	if again.Identity != copied.Identity || again.Events != 100 {
		t.Errorf("second copy: %+v", again)
	}
	want = contents(t, rawClient(t, source.url()))
	if got := contents(t, rawClient(t, target.url())); !slices.Equal(got, want) {
		t.Fatal("after a second copy the two differ")
	}
}

// readable is what a stream's reader gets.
func readable(t testing.TB, url, stream string) string {
	t.Helper()
	r, err := rawClient(t, url).ReadStream(testContext(t), stream, esdb.ReadStreamOptions{From: esdb.Start{}}, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var revisions []uint64
	for {
		e, err := r.Recv()
		var refused *esdb.Error
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Sprint(revisions)
		case errors.As(err, &refused):
			return fmt.Sprintf("error %d", refused.Code())
		case err != nil:
			t.Fatal(err)
		}
		revisions = append(revisions, e.OriginalEvent().EventNumber)
	}
}

// However often it is cut short, and whichever store goes away, the copy ends up
// with every event once, in the source's order.
func TestCopyGoesOnAfterInterruptions(t *testing.T) {
	source, target := startStore(t), startStore(t)
	from := fillSource(t, source.url())
	to := openLog(t, target.url())
	want := contents(t, rawClient(t, source.url()))

	// Cut short by its caller, at the first page.
	cut, cancel := context.WithCancel(testContext(t))
	_, err := eventstore.Copy(cut, eventstore.CopyOptions{
		From: from, To: to, Now: time.Now(), Progress: func(eventstore.Copied) { cancel() },
	})
	if err == nil {
		t.Fatal("a copy that is cut short tells success")
	}
	some := contents(t, rawClient(t, target.url()))
	if len(some) >= len(want) || !slices.Equal(some, want[:len(some)]) {
		t.Fatalf("what was copied (%d events) is not the beginning of the source", len(some))
	}
	// The target, then the source go away and come back.
	restarts := []*store{target, source}
	_, err = eventstore.Copy(testContext(t), eventstore.CopyOptions{
		From: from, To: to, Now: time.Now(), Progress: func(eventstore.Copied) {
			if len(restarts) > 0 {
				restarts[0].stop()
				restarts[0].start()
				restarts = restarts[1:]
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, rawClient(t, target.url())); !slices.Equal(got, want) {
		t.Fatalf("the copy has %d events, the source %d, or in another order", len(got), len(want))
	}
	if len(restarts) > 0 {
		t.Fatal("the stores were not restarted, so this proves nothing")
	}
}

func TestCopyRefusesOtherTargets(t *testing.T) {
	ctx := testContext(t)
	source := startStore(t)
	from := openLog(t, source.url())
	refused := func(name string, to *eventstore.Log, want error, text string) {
		t.Helper()
		_, err := eventstore.Copy(ctx, eventstore.CopyOptions{From: from, To: to, Now: time.Now()})
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %q", name, err, text)
		}
	}
	refused("no log", openLog(t, startStore(t).url()), nil, "there is no log of Waypost in it")
	if _, err := from.EnsureOpened(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	appendMore(t, from, 0, 10)
	refused("itself", openLog(t, source.url()), nil, "are the same log")

	used := openLog(t, startStore(t).url())
	appendMore(t, used, 0, 1)
	refused("somebody else's events", used, eventstore.ErrNotACopy, "message-0")

	own := openLog(t, startStore(t).url())
	if _, err := own.EnsureOpened(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	refused("another log", own, eventstore.ErrNotACopy, "not a copy")

	moved := openLog(t, startStore(t).url())
	mustCopy(t, from, moved)
	appendMore(t, moved, 10, 11)
	refused("a copy that went on by itself", moved, eventstore.ErrNotACopy, "after it was copied")
}

// Revisions are what writers decide on, so an event must not get another one.
func TestCopyRefusesTruncatedStreams(t *testing.T) {
	source := startStore(t)
	from := fillSource(t, source.url()) // one of its streams is limited, another revived
	if _, err := source.s.Scavenge(testContext(t)); err != nil {
		t.Fatal(err)
	}
	_, err := eventstore.Copy(testContext(t), eventstore.CopyOptions{From: from, To: openLog(t, startStore(t).url()), Now: time.Now()})
	if err == nil || !strings.Contains(err.Error(), "event 1 of stream limited") || !strings.Contains(err.Error(), "is missing in the source") {
		t.Fatalf("got %v, want the name of the stream", err)
	}
}

func TestReopenedLogHasAnotherIdentity(t *testing.T) {
	ctx := testContext(t)
	log := openLog(t, startStore(t).url())
	first, err := log.EnsureOpened(ctx, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	reopened, err := log.Reopen(ctx, time.Now())
	if err != nil || reopened == first {
		t.Fatalf("%s after %s, %v", reopened, first, err)
	}
	if now, err := log.EnsureOpened(ctx, time.Now()); err != nil || now != reopened {
		t.Errorf("%s, %v; want %s", now, err, reopened)
	}
}
