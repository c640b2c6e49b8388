package eventstore

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/genproto/googleapis/rpc/code"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/app/event"
)

func connected(t *testing.T, change ...func(*eventstored.Options)) (*connection, *eventstored.Server) {
	t.Helper()
	options := eventstored.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&options)
	}
	s, err := eventstored.Open(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	config, err := parseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(*config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c, s
}

// A call that meets Unavailable must retire its connection before the client can begin
// a discovery: calls that wait for a failing discovery hang forever. This test also
// checks the text by which the failure is detected.
func TestUnavailableRetiresTheConnectionFirst(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), pipelinePatience)
	defer cancel()
	c, s := connected(t)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	entered, leave, _ := c.enter(ctx)
	defer leave()
	if _, err := c.client.AppendToStream(entered, "a", esdb.AppendToStreamOptions{}); codeOf(err) != codes.Unavailable {
		t.Fatalf("an append to a closed store: %v", err)
	}
	if _, err := end(ctx, c); !errors.Is(err, errRetired) {
		t.Fatalf("the call after it was let through: %v", err)
	}
}

// Retiring must wait for calls that are about to get the gRPC connection, but not for
// those that have it, however long they take.
func TestRetireWaitsForEnteringCallsOnly(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), pipelinePatience)
	defer cancel()
	c, _ := connected(t)
	entered, leave, ok := c.enter(ctx)
	if !ok {
		t.Fatal("a new connection is retired")
	}
	defer leave()
	if c.entry.TryLock() {
		t.Fatal("a call that is about to enter does not delay retiring")
	}
	sub, err := c.client.SubscribeToAll(entered, esdb.SubscribeToAllOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if !c.entry.TryLock() {
		t.Fatal("a call in progress delays retiring")
	}
	c.entry.Unlock()
}

// Checkpoints without events reach the handler once per second, and immediately when
// the subscription becomes live.
func TestCheckpointsAreHandedOverSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		type handed struct {
			at time.Duration
			b  event.Batch
		}
		var got []handed
		s := &subscription{maxBatch: 10, handle: func(_ context.Context, b event.Batch) error {
			got = append(got, handed{time.Since(start), b})
			return nil
		}}
		items := make(chan item, 10)
		go func() {
			defer close(items)
			items <- item{position: 1}
			items <- item{caughtUp: true}
			for n := range 16 { // 2.4 s
				time.Sleep(150 * time.Millisecond)
				items <- item{position: event.Position(n + 2)}
				items <- item{caughtUp: true}
			}
			items <- item{event: &event.Recorded{Position: 100}, position: 100}
			time.Sleep(time.Minute)
		}()
		if err := s.deliver(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		var at []time.Duration
		for _, h := range got {
			at = append(at, h.at.Round(time.Millisecond))
			if !h.b.Live {
				t.Errorf("the batch after %s is not live", h.at)
			}
		}
		want := []time.Duration{0, 1150 * time.Millisecond, 2200 * time.Millisecond, 2400 * time.Millisecond}
		if !slices.Equal(at, want) {
			t.Fatalf("batches after %v, want %v", at, want)
		}
		if last := got[3].b; len(last.Events) != 1 || last.Position != 100 {
			t.Fatalf("last batch %+v", last)
		}
	})
}

// The store responds to the appends of a batch in any order.
func TestBatchWriterEndsWithTheFirstRefusalAndKeepsItsSlot(t *testing.T) {
	const sent = 4
	rapid.Check(t, func(t *rapid.T) {
		refused := rapid.SliceOfNDistinct(rapid.Uint64Range(1, sent), 1, sent, rapid.ID).Draw(t, "refused")
		order := rapid.Permutation([]uint64{1, 2, 3, sent}).Draw(t, "order")
		w := &batchWriter{slots: make(chan struct{}, sent), pending: make(map[uint64]string)}
		for number := range uint64(sent) {
			w.slots <- struct{}{}
			w.pending[number+1] = "event"
		}
		var err error
		for _, number := range order {
			answer := &streams.BatchAppendResp{CorrelationId: correlation(number)}
			if slices.Contains(refused, number) {
				answer.Result = &streams.BatchAppendResp_Error{Error: &rpcstatus.Status{Code: int32(code.Code_ALREADY_EXISTS)}}
			}
			if err = w.answered(answer); err != nil {
				break
			}
		}
		var first *batchError
		if !errors.As(err, &first) || first.number != slices.Min(refused) {
			t.Fatalf("ended with %v, want the refusal of %d", err, slices.Min(refused))
		}
		if len(w.slots) == 0 {
			t.Fatal("all slots are free: a flush would succeed")
		}
	})
}

// A batch of many events waits for the busy interval, also if it had few when the wait began.
func TestLargeBatchesWaitLonger(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		events int // that come one millisecond apart, after a first one
		after  time.Duration
	}{
		{"few", event.BusyBatch - 1, 100 * time.Millisecond},
		{"many", event.BusyBatch, 300 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sizes []int
				var times []time.Time
				s := subscription{
					maxBatch: defaultMaxBatch, gather: 100 * time.Millisecond, gatherMany: 300 * time.Millisecond,
					handle: func(_ context.Context, b event.Batch) error {
						sizes, times = append(sizes, len(b.Events)), append(times, time.Now())
						return nil
					},
				}
				items := make(chan item)
				ended := make(chan error, 1)
				go func() { ended <- s.deliver(t.Context(), items) }()
				for i := range 1 + test.events {
					items <- item{event: &event.Recorded{}, position: event.Position(i + 1)}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(time.Second)
				close(items)
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(sizes, []int{1, test.events}) || times[1].Sub(times[0]) != test.after {
					t.Errorf("batches of %v at %v, want 1 and then %d after %s", sizes, times, test.events, test.after)
				}
			})
		})
	}
}
