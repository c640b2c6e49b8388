package eventstored_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/waypost/waypost/adapters/eventstored"
)

// patience limits every wait of the tests. No wait should take a noticeable part of it.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	runChild() // does not return in a child process
	goleak.VerifyTestMain(m)
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// startServer runs a server in its own directory until the test ends.
func startServer(t testing.TB, change ...func(*eventstored.Options)) *eventstored.Server {
	t.Helper()
	opts := eventstored.Options{
		Dir:  t.TempDir(),
		Addr: "127.0.0.1:0", Insecure: true,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&opts)
	}
	s, err := eventstored.Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close server: %v", err)
		}
	})
	return s
}

func connect(t testing.TB, url string) *esdb.Client {
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
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close client: %v", err)
		}
	})
	return client
}

// start runs a server with one client.
func start(t testing.TB, change ...func(*eventstored.Options)) (*eventstored.Server, *esdb.Client) {
	t.Helper()
	s := startServer(t, change...)
	return s, connect(t, s.TCPURL())
}

func newEvent(eventType string) esdb.EventData {
	return esdb.EventData{
		EventID:     uuid.New(),
		EventType:   eventType,
		ContentType: esdb.ContentTypeJson,
		Data:        []byte(`{"n":1}`),
		Metadata:    []byte(`{"from":"test"}`),
	}
}

func newEvents(n int) []esdb.EventData {
	events := make([]esdb.EventData, n)
	for i := range events {
		events[i] = newEvent("Happened")
	}
	return events
}

func mustAppend(
	t testing.TB, c *esdb.Client, stream string, expected esdb.ExpectedRevision, events ...esdb.EventData,
) *esdb.WriteResult {
	t.Helper()
	res, err := c.AppendToStream(testContext(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: expected}, events...)
	if err != nil {
		t.Fatalf("append to %s: %v", stream, err)
	}
	return res
}

func collect(r *esdb.ReadStream) ([]*esdb.ResolvedEvent, error) {
	defer r.Close()
	var events []*esdb.ResolvedEvent
	for {
		e, err := r.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
}

const everything = uint64(1) << 40

func readStream(t testing.TB, c *esdb.Client, stream string, opts esdb.ReadStreamOptions) ([]*esdb.ResolvedEvent, error) {
	t.Helper()
	return readStreamN(t, c, stream, opts, everything)
}

func readStreamN(
	t testing.TB, c *esdb.Client, stream string, opts esdb.ReadStreamOptions, n uint64,
) ([]*esdb.ResolvedEvent, error) {
	t.Helper()
	r, err := c.ReadStream(testContext(t), stream, opts, n)
	if err != nil {
		return nil, err
	}
	return collect(r)
}

func readAll(t testing.TB, c *esdb.Client, opts esdb.ReadAllOptions, n uint64) []*esdb.ResolvedEvent {
	t.Helper()
	r, err := c.ReadAll(testContext(t), opts, n)
	if err != nil {
		t.Fatal(err)
	}
	events, err := collect(r)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func codeOf(t testing.TB, err error) esdb.ErrorCode {
	t.Helper()
	var e *esdb.Error
	if !errors.As(err, &e) {
		t.Fatalf("not an error of the client: %v", err)
	}
	return e.Code()
}
