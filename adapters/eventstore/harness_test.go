package eventstore_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

// patience limits every wait of the tests. No wait should take a noticeable part of it.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type options = eventstore.Options

// counted is the event of the tests.
type counted struct {
	N int `json:"n"`
}

func (counted) EventType() string { return "Counted" }

// noted is another type, for filters.
type noted struct {
	Text string `json:"text"`
}

func (noted) EventType() string { return "Noted" }

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// store is an embedded server that can be restarted with the same port and directory.
type store struct {
	t    testing.TB
	opts eventstored.Options
	s    *eventstored.Server
}

func startStore(t testing.TB, change ...func(*eventstored.Options)) *store {
	t.Helper()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	st := &store{t: t, opts: eventstored.Options{
		Dir: t.TempDir(), Addr: addr, Insecure: true, Logger: slog.New(slog.DiscardHandler),
	}}
	for _, c := range change {
		c(&st.opts)
	}
	st.start()
	t.Cleanup(st.stop)
	return st
}

func (st *store) start() {
	st.t.Helper()
	s, err := eventstored.Open(context.Background(), st.opts)
	if err != nil {
		st.t.Fatal(err)
	}
	st.s = s
}

func (st *store) stop() {
	st.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := st.s.Close(ctx); err != nil {
		st.t.Errorf("close store: %v", err)
	}
}

func (st *store) url() string { return "esdb://" + st.opts.Addr + "?tls=false&gossipTimeout=1" }

func newCodec(t testing.TB, more ...domain.Type) *event.Codec {
	t.Helper()
	codec, err := event.NewCodec(event.Types(), []domain.Type{domain.TypeOf[counted](), domain.TypeOf[noted]()}, sender.Types(), more)
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func openLog(t testing.TB, url string, change ...func(*eventstore.Options)) *eventstore.Log {
	t.Helper()
	opts := eventstore.Options{URL: url, Codec: newCodec(t)}
	for _, c := range change {
		c(&opts)
	}
	log, err := eventstore.Open(testContext(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Errorf("close log: %v", err)
		}
	})
	return log
}

// opener opens a log of a store in one of the two ways.
type opener func(t testing.TB, st *store, change ...func(*options)) *eventstore.Log

// onBoth runs a test with a client of the store's server, and with the store in this process.
func onBoth(t *testing.T, test func(t *testing.T, open opener)) {
	t.Helper()
	t.Run("client", func(t *testing.T) {
		test(t, func(t testing.TB, st *store, change ...func(*options)) *eventstore.Log {
			t.Helper()
			return openLog(t, st.url(), change...)
		})
	})
	t.Run("in process", func(t *testing.T) {
		test(t, func(t testing.TB, st *store, change ...func(*options)) *eventstore.Log {
			t.Helper()
			return openLog(t, "", append(change, func(o *options) { o.Store = st.s.Store() })...)
		})
	})
}

func count(n int) event.Proposed { return fresh(counted{N: n}) }

func fresh(e domain.Event) event.Proposed {
	return event.Proposed{
		ID: uuid.Must(uuid.NewV7()), Event: e,
		Meta: event.Meta{RecordedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), By: domain.Platform("test")},
	}
}

// listenSilently accepts connections and never responds, until the test ends.
func listenSilently(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			c, err := listener.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return "esdb://" + listener.Addr().String() + "?tls=false&gossipTimeout=1"
}
