package eventstore

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/event"
)

const pipelinePatience = 2 * time.Minute

// opened returns a pipeline to a store, with its call open.
func opened(t *testing.T, change ...func(*eventstored.Options)) (*pipeline, *connection) {
	t.Helper()
	c, store := connected(t, change...)
	config, err := parseURL(store.URL())
	if err != nil {
		t.Fatal(err)
	}
	p := newPipeline(*config, pipelinePatience)
	t.Cleanup(func() { p.close(context.Background()) })
	awaitOpen(t, p)
	return p, c
}

func awaitOpen(t *testing.T, p *pipeline) {
	t.Helper()
	polltest.Until(t, "the pipeline's call is open", func() bool {
		if p.acquireCall() == nil {
			return false
		}
		p.running.Done()
		return true
	})
}

func happened(n int) []proposal {
	events := make([]proposal, n)
	for i := range events {
		events[i] = proposal{id: uuid.New(), eventType: "Happened", data: []byte(`{}`)}
	}
	return events
}

// The pipeline appends what the client would have appended, with the same result.
func TestPipelineAnswersAsTheClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), pipelinePatience)
	defer cancel()
	p, c := opened(t)
	first := happened(2)
	for _, test := range []struct {
		name     string
		expected event.Expected
		events   []proposal
		revision event.Revision
		wrong    bool
	}{
		{"no stream", event.NoStream(), first, 1, false},
		{"repeated", event.NoStream(), first, 1, false},
		{"no stream, others", event.NoStream(), happened(1), 0, true},
		{"exact", event.ExactRevision(1), happened(1), 2, false},
		{"too early", event.ExactRevision(0), happened(1), 0, true},
		{"too late", event.ExactRevision(9), happened(1), 0, true},
		{"any", event.Any(), happened(1), 3, false},
	} {
		done, answered, err := p.append(ctx, "s", test.expected, test.events)
		var wrong *event.WrongRevisionError
		switch {
		case !answered:
			t.Fatalf("%s: the append did not get a response from the call", test.name)
		case test.wrong:
			if !errors.As(err, &wrong) || wrong.Stream != "s" || wrong.Expected != test.expected {
				t.Errorf("%s: %v", test.name, err)
			}
		case err != nil || done.Revision != test.revision:
			t.Errorf("%s: %+v, %v", test.name, done, err)
		default: // the client treats the same append as a repetition
			again, err := c.client.AppendToStream(ctx, "s", esdb.AppendToStreamOptions{ExpectedRevision: expectedRevision(test.expected)}, eventData(test.events)...)
			if err != nil || event.Revision(again.NextExpectedVersion) != done.Revision || event.Position(again.CommitPosition) != done.Position {
				t.Errorf("%s: the client returns %+v, %v; the pipeline %+v", test.name, again, err, done)
			}
		}
	}
	reader, err := c.client.ReadStream(ctx, "s", esdb.ReadStreamOptions{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	e, err := reader.Recv()
	if err != nil || e.Event.EventID != first[0].id || e.Event.EventType != "Happened" || string(e.Event.Data) != "{}" || e.Event.ContentType != "application/json" {
		t.Errorf("recorded %+v, %v", e, err)
	}
}

// The client handles every other response of the store, and the call is opened again
// later.
func TestPipelineLeavesRefusalsToTheClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), pipelinePatience)
	defer cancel()
	p, _ := opened(t, func(o *eventstored.Options) { o.MaxAppendBytes = 100 })
	large := happened(1)
	large[0].data = make([]byte, 200)
	if _, answered, err := p.append(ctx, "s", event.Any(), large); answered || err != nil {
		t.Errorf("a rejection was returned: %v", err)
	}
	if p.acquireCall() != nil {
		t.Error("the call continues")
	}
	awaitOpen(t, p)
	if done, answered, err := p.append(ctx, "s", event.NoStream(), happened(1)); !answered || err != nil || done.Revision != 0 {
		t.Errorf("afterwards: %+v, %v, %v", done, answered, err)
	}
}

// mute is a call whose appends never get a response.
type mute struct {
	streams.Streams_BatchAppendClient
}

func (mute) Send(*streams.BatchAppendReq) error { return nil }

// A cancelled append ends, wherever it waits.
func TestPipelineLeavesWhatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, waits := range []string{"for a slot", "to be sent", "for its response"} {
			c := &pipelineCall{
				call: mute{}, ctx: context.Background(), timeout: pipelinePatience,
				slots: make(chan struct{}, 1), sending: make(chan struct{}, 1), pending: map[uint64]*pipelined{},
			}
			switch waits {
			case "for a slot":
				c.slots <- struct{}{}
			case "to be sent":
				c.sending <- struct{}{}
			}
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			if answer := c.append(ctx, "s", event.Any(), happened(1)); answer != nil || ctx.Err() == nil || len(c.pending) > 0 {
				t.Errorf("an append waiting %s: response %v, %d pending", waits, answer, len(c.pending))
			}
			leave()
		}
	})
}

// While there is no call, appends get no response.
func TestPipelineWithoutAnswers(t *testing.T) {
	p, _ := opened(t)
	p.close(context.Background())
	if _, answered, _ := p.append(context.Background(), "s", event.Any(), happened(1)); answered {
		t.Error("a response after the end")
	}
}

// A store that does not respond, or does not know this call, does not delay anyone.
func TestPipelineToOtherStores(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	old, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	streams.RegisterStreamsServer(server, streams.UnimplementedStreamsServer{})
	go server.Serve(old)
	defer server.Stop()
	for name, at := range map[string]net.Listener{"silent": silent, "without the call": old} {
		config, err := esdb.ParseConnectionString("esdb://" + at.Addr().String() + "?tls=false")
		if err != nil {
			t.Fatal(err)
		}
		const timeout = 50 * time.Millisecond
		p := newPipeline(*config, timeout)
		ctx, cancel := context.WithTimeout(t.Context(), 2*timeout) // while it opens its call and fails to
		answered := polltest.Retry(ctx, func() bool {
			_, answered, _ := p.append(context.Background(), "s", event.Any(), happened(1))
			return answered
		})
		cancel()
		if answered {
			t.Errorf("%s: an append got a response", name)
		}
		p.close(context.Background())
	}
}

// The call ends when an append has had no response for longer than the timeout.
func TestPipelineGivesSilentCallsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Second
		ctx, end := context.WithCancelCause(t.Context())
		defer end(nil)
		c := &pipelineCall{ctx: ctx, end: end, timeout: timeout, pending: map[uint64]*pipelined{}}
		go c.watch()
		time.Sleep(10 * timeout)
		if ctx.Err() != nil {
			t.Fatal("a call without appends was ended")
		}
		c.mu.Lock()
		c.pending[1] = &pipelined{since: time.Now()}
		c.mu.Unlock()
		since := time.Now()
		<-ctx.Done()
		if waited := time.Since(since); !errors.Is(context.Cause(ctx), errNoAnswer) || waited <= timeout || waited > timeout*5/4 {
			t.Errorf("ended after %v: %v", waited, context.Cause(ctx))
		}
	})
}

// Closing waits for the appends in flight: each one gets a response or was not started.
func TestPipelineClosesUnderLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), pipelinePatience)
	defer cancel()
	p, c := opened(t)
	const writers = 2 * maxPipelined
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			stream, next := "s-"+strconv.Itoa(w), event.NoStream()
			for n := event.Revision(0); ; n++ {
				done, answered, err := p.append(ctx, stream, next, happened(1))
				if !answered {
					return
				}
				if err != nil || done.Revision != n {
					t.Errorf("append %d to %s: %+v, %v", n, stream, done, err)
					return
				}
				next = event.ExactRevision(n)
			}
		})
	}
	polltest.Until(t, "the last writer has appended", func() bool {
		reader, err := c.client.ReadStream(ctx, "s-"+strconv.Itoa(writers-1), esdb.ReadStreamOptions{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		_, err = reader.Recv()
		return err == nil
	})
	p.close(ctx)
	writing.Wait()
}
