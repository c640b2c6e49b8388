package recovery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// storeWire carries the bytes between the platform and its event store. Either
// direction can be stopped: what is sent from then on never arrives.
type storeWire struct {
	listener net.Listener
	store    string
	wg       sync.WaitGroup

	mu          sync.Mutex
	requests    bool // pass, as do answers
	responses   bool
	stopAt      []byte       // no answer passes once a request with this has passed
	lost        bytes.Buffer // requests that were swallowed since stopRequests
	connections map[net.Conn]bool
	closed      bool
}

func newStoreWire(t *testing.T, store string) *storeWire {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &storeWire{listener: l, store: store, requests: true, responses: true, connections: map[net.Conn]bool{}}
	w.wg.Go(w.accept)
	t.Cleanup(func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		l.Close()
		w.heal()
		w.wg.Wait()
	})
	return w
}

func (w *storeWire) url() string { return "esdb://" + w.listener.Addr().String() + "?tls=false" }

// keep registers a connection; false once the wire is closed.
func (w *storeWire) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.connections[c] = true
	}
	return !w.closed
}

func (w *storeWire) accept() {
	for {
		from, err := w.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", w.store)
		if err != nil {
			from.Close()
			continue
		}
		if !w.keep(from) || !w.keep(to) {
			from.Close()
			to.Close()
			return
		}
		w.wg.Go(func() { w.pass(from, to, &w.requests) })
		w.wg.Go(func() { w.pass(to, from, &w.responses) })
	}
}

// pass carries bytes until an end closes, or swallows them while it is stopped.
func (w *storeWire) pass(from, to net.Conn, passes *bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		w.mu.Lock()
		open := *passes
		if open && passes == &w.requests && len(w.stopAt) > 0 && bytes.Contains(buffer[:n], w.stopAt) {
			w.responses, w.stopAt = false, nil
		}
		if !open && passes == &w.requests {
			w.lost.Write(buffer[:n])
		}
		w.mu.Unlock()
		if open && n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *storeWire) stopRequests() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = false
	w.lost.Reset()
}

// swallowed reports whether the append of an event of the type did not arrive.
func (w *storeWire) swallowed(kind string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.lost.Bytes(), []byte(kind))
}

func (w *storeWire) stopResponses() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.responses = false
}

// stopAnswersTo stops the answers at the append of an event of the type: its type
// goes over the wire as it is written.
func (w *storeWire) stopAnswersTo(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopAt = []byte(kind)
}

// heal lets both directions pass again, on new connections.
func (w *storeWire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests, w.responses, w.stopAt = true, true, nil
	for c := range w.connections {
		c.Close()
	}
	clear(w.connections)
}

// apiWire is between Waypost and WhatsApp, and lets a test come between
// the steps of a call.
type apiWire struct {
	server *httptest.Server
	target string

	mu sync.Mutex
	// arrived is called with each request before WhatsApp gets it, answered before
	// Waypost gets the response. If it returns false, the connection is cut.
	arrived, answered func() bool
	written           int
}

func newAPIWire(t *testing.T) *apiWire {
	t.Helper()
	w := &apiWire{}
	w.reset()
	w.server = httptest.NewServer(w)
	t.Cleanup(w.server.Close)
	return w
}

func (w *apiWire) reset() { w.set(func() bool { return true }, func() bool { return true }) }

func (w *apiWire) set(arrived, answered func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived, w.answered = arrived, answered
}

// requests is how many calls were written to WhatsApp.
func (w *apiWire) requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}

var errWireCut = errors.New("the connection is cut")

// ServeHTTP passes a request on. It does not end with its caller: what was written
// arrives.
func (w *apiWire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	status, header, body, err := w.carry(r)
	if err != nil {
		panic(http.ErrAbortHandler) // cuts the connection without an answer
	}
	maps.Copy(rw.Header(), header)
	rw.WriteHeader(status)
	rw.Write(body)
}

func (w *apiWire) carry(r *http.Request) (status int, header http.Header, body []byte, err error) {
	request, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, nil, err
	}
	call := r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/messages")
	w.mu.Lock()
	arrived, answered, target := w.arrived, w.answered, w.target
	if call {
		w.written++
	}
	w.mu.Unlock()
	if call && !arrived() {
		return 0, nil, nil, errWireCut
	}
	on, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, target+r.URL.RequestURI(), bytes.NewReader(request))
	if err != nil {
		return 0, nil, nil, err
	}
	on.Header = r.Header
	res, err := http.DefaultClient.Do(on)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		return 0, nil, nil, err
	}
	if call && !answered() {
		return 0, nil, nil, errWireCut
	}
	return res.StatusCode, res.Header, body, nil
}
