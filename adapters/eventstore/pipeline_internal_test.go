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
	"github.com/waypost/waypost/app/event"
)

const pipelinePatience = 2 * time.Minute

// opened is a pipeline to a store, with its call open.
func opened(t *testing.T, change ...func(*eventstored.Options)) (*pipeline, *connection) {
	t.Helper()
	c, store := connected(t, change...)
	config, err := esdb.ParseConnectionString(store.URL())
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
	for until := time.Now().Add(pipelinePatience); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if c := p.take(); c != nil {
			p.running.Done()
			return
		}
	}
	t.Fatal("the pipeline does not open")
}

func happened(n int) []esdb.EventData {
	events := make([]esdb.EventData, n)
	for i := range events {
		events[i] = esdb.EventData{EventID: uuid.New(), EventType: "Happened", ContentType: esdb.ContentTypeJson, Data: []byte(`{}`)}
	}
	return events
}

// The pipeline appends what the client would have, and answers the same.
func TestPipelineAnswersAsTheClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), pipelinePatience)
	defer cancel()
	p, c := opened(t)
	first := happened(2)
	for _, test := range []struct {
		name     string
		expected event.Expected
		events   []esdb.EventData
		revision event.Revision
		wrong    bool
	}{
		{"no stream", event.NoStream(), first, 1, false},
		{"the same again", event.NoStream(), first, 1, false},
		{"no stream, others", event.NoStream(), happened(1), 0, true},
		{"exact", event.At(1), happened(1), 2, false},
		{"too early", event.At(0), happened(1), 0, true},
		{"too late", event.At(9), happened(1), 0, true},
		{"any", event.Any(), happened(1), 3, false},
	} {
		done, answered, err := p.append(ctx, "s", test.expected, test.events)
		var wrong *event.WrongRevisionError
		switch {
		case !answered:
			t.Fatalf("%s: not answered", test.name)
		case test.wrong:
			if !errors.As(err, &wrong) || wrong.Stream != "s" || wrong.Expected != test.expected {
				t.Errorf("%s: %v", test.name, err)
			}
		case err != nil || done.Revision != test.revision:
			t.Errorf("%s: %+v, %v", test.name, done, err)
		default: // the client has the same append for a repetition
			again, err := c.client.AppendToStream(ctx, "s", esdb.AppendToStreamOptions{ExpectedRevision: expectedRevision(test.expected)}, test.events...)
			if err != nil || event.Revision(again.NextExpectedVersion) != done.Revision || event.Position(again.CommitPosition) != done.Position {
				t.Errorf("%s: the client answers %+v, %v; the pipeline %+v", test.name, again, err, done)
			}
		}
	}
	reader, err := c.client.ReadStream(ctx, "s", esdb.ReadStreamOptions{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	e, err := reader.Recv()
	if err != nil || e.Event.EventID != first[0].EventID || e.Event.EventType != "Happened" || string(e.Event.Data) != "{}" || e.Event.ContentType != "application/json" {
		t.Errorf("recorded %+v, %v", e, err)
	}
}

// Whatever else the store says is left to the client, and later the call is opened anew.
func TestPipelineLeavesRefusalsToTheClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), pipelinePatience)
	defer cancel()
	p, _ := opened(t, func(o *eventstored.Options) { o.MaxAppendBytes = 100 })
	large := happened(1)
	large[0].Data = make([]byte, 200)
	if _, answered, err := p.append(ctx, "s", event.Any(), large); answered || err != nil {
		t.Errorf("a refusal was answered: %v", err)
	}
	if p.take() != nil {
		t.Error("the call goes on")
	}
	awaitOpen(t, p)
	if done, answered, err := p.append(ctx, "s", event.NoStream(), happened(1)); !answered || err != nil || done.Revision != 0 {
		t.Errorf("afterwards: %+v, %v, %v", done, answered, err)
	}
}

// mute is a call whose appends are never answered.
type mute struct {
	streams.Streams_BatchAppendClient
}

func (mute) Send(*streams.BatchAppendReq) error { return nil }

// An append that is given up ends, wherever it waits.
func TestPipelineLeavesWhatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, waits := range []string{"for a place", "to be sent", "for its answer"} {
			c := &pipelineCall{
				call: mute{}, ctx: context.Background(), timeout: pipelinePatience,
				slots: make(chan struct{}, 1), sending: make(chan struct{}, 1), pending: map[uint64]*pipelined{},
			}
			switch waits {
			case "for a place":
				c.slots <- struct{}{}
			case "to be sent":
				c.sending <- struct{}{}
			}
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			if answer := c.append(ctx, "s", event.Any(), happened(1)); answer != nil || ctx.Err() == nil || len(c.pending) > 0 {
				t.Errorf("one that waits %s: answer %v, %d pending", waits, answer, len(c.pending))
			}
			leave()
		}
	})
}

// At a time when there is no call, appends are not answered.
func TestPipelineWithoutAnswers(t *testing.T) {
	p, _ := opened(t)
	p.close(context.Background())
	if _, answered, _ := p.append(context.Background(), "s", event.Any(), happened(1)); answered {
		t.Error("answered after the end")
	}
}

// A store that keeps silent, or knows no such call, keeps nobody waiting.
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
		p := newPipeline(*config, 50*time.Millisecond)
		for range 100 {
			if _, answered, _ := p.append(context.Background(), "s", event.Any(), happened(1)); answered {
				t.Errorf("%s: answered", name)
			}
			time.Sleep(time.Millisecond)
		}
		p.close(context.Background())
	}
}

// The call ends when an append has had no answer for longer than the timeout.
func TestPipelineGivesSilentCallsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Second
		ctx, end := context.WithCancelCause(t.Context())
		defer end(nil)
		c := &pipelineCall{ctx: ctx, end: end, timeout: timeout, pending: map[uint64]*pipelined{}}
		go c.watch()
		time.Sleep(10 * timeout)
		if ctx.Err() != nil {
			t.Fatal("a call without appends was given up")
		}
		c.mu.Lock()
		c.pending[1] = &pipelined{since: time.Now()}
		c.mu.Unlock()
		since := time.Now()
		<-ctx.Done()
		if waited := time.Since(since); !errors.Is(context.Cause(ctx), errNoAnswer) || waited <= timeout || waited > timeout*5/4 {
			t.Errorf("given up after %v: %v", waited, context.Cause(ctx))
		}
	})
}

// Closing waits for what is under way: each append is answered, or was not begun.
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
				next = event.At(n)
			}
		})
	}
	for last := "s-" + strconv.Itoa(writers-1); ctx.Err() == nil; time.Sleep(time.Millisecond) {
		reader, err := c.client.ReadStream(ctx, last, esdb.ReadStreamOptions{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = reader.Recv()
		reader.Close()
		if err == nil {
			break
		}
	}
	p.close(ctx)
	writing.Wait()
}
