package graph

import (
	"encoding/json"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/domain"
)

// frame is a message of graphql-transport-ws.
type frame struct {
	Payload json.RawMessage `json:"payload,omitempty"`
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
}

// socketOperations are the operations that run on a WebSocket. gqlgen identifies them by IDs that are generated here.
// It does not check whether the client uses an ID twice, and would lose the first operation. A client can reuse an ID
// as soon as it has completed the operation, while gqlgen is still ending it.
type socketOperations struct {
	mu       sync.Mutex
	last     int
	byClient map[string]string // from the client's IDs that it has not completed
	running  map[string]string // to the client's IDs
}

// takenError reports that the client used an ID twice.
type takenError struct{ id string }

func (e takenError) Error() string { return "Subscriber for " + e.id + " already exists" }

const (
	// subscriberExists is the protocol's code for closing a socket whose client used an ID twice.
	subscriberExists websocket.StatusCode = 4409
	// shownID limits the ID in the reason, which has 123 bytes at most.
	shownID = 80
)

// begin registers an operation and returns gqlgen's ID for it.
func (o *socketOperations) begin(client string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, taken := o.byClient[client]; taken {
		return "", takenError{client[:min(len(client), shownID)]}
	}
	if len(o.running) >= maxSocketOperations {
		return "", domain.Unavailable("%d operations run on the WebSocket, which is the limit; complete some, or open another", maxSocketOperations)
	}
	if o.byClient == nil {
		o.byClient, o.running = make(map[string]string), make(map[string]string)
	}
	o.last++
	id := strconv.Itoa(o.last)
	o.byClient[client], o.running[id] = id, client
	return id, nil
}

// complete returns gqlgen's ID of an operation that the client ends, or false if there is none.
func (o *socketOperations) complete(client string) (id string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id, ok = o.byClient[client]
	delete(o.byClient, client)
	return id, ok
}

// outgoing returns the client's ID for a message of an operation, or false if the client must not receive the message.
// An error or a completion is the last message.
func (o *socketOperations) outgoing(id, kind string) (client string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	client, ok = o.running[id]
	ok = ok && o.byClient[client] == id
	if kind == "error" || kind == "complete" {
		delete(o.running, id)
		if ok {
			delete(o.byClient, client)
		}
	}
	return client, ok
}

// incoming converts a message of the client to one for gqlgen. It returns nil if gqlgen must not receive it.
func (c *socketConn) incoming(data []byte) ([]byte, error) {
	var m frame
	if json.Unmarshal(data, &m) != nil {
		return data, nil //nolint:nilerr // gqlgen reports what is wrong with it
	}
	switch m.Type {
	case "subscribe":
		id, err := c.operations.begin(m.ID)
		if taken, ok := err.(takenError); ok { //nolint:errorlint // begin does not wrap it
			return nil, taken
		}
		if err != nil {
			return nil, c.refuse(m.ID, err)
		}
		m.ID = id
	case "complete":
		id, ok := c.operations.complete(m.ID)
		if !ok {
			return nil, nil
		}
		m.ID = id
	default:
		return data, nil
	}
	return json.Marshal(m)
}

// refuse sends the error of an operation that was not started.
func (c *socketConn) refuse(id string, err error) error {
	payload, failed := json.Marshal(gqlerror.List{c.present(c.ctx, resolverError{err})})
	if failed != nil {
		return failed
	}
	return c.write(frame{ID: id, Type: "error", Payload: payload})
}

// outgoingFrame converts a message of gqlgen, whose type is not exported.
func outgoingFrame(v any) (m frame, ok bool) {
	s := reflect.Indirect(reflect.ValueOf(v))
	if s.Kind() != reflect.Struct {
		return m, false
	}
	id, kind, payload := s.FieldByName("ID"), s.FieldByName("Type"), s.FieldByName("Payload")
	if !id.IsValid() || !kind.IsValid() || !payload.IsValid() {
		return m, false
	}
	m.ID, m.Type = id.String(), kind.String()
	m.Payload, ok = payload.Interface().(json.RawMessage)
	return m, ok
}

// socketCount counts the WebSockets of the process.
type socketCount struct{ open, fresh atomic.Int32 }

// enter counts a socket that has not authenticated. The caller must call letIn once it has, and leave at its end.
func (c *socketCount) enter() (letIn, leave func(), err error) {
	letIn = sync.OnceFunc(func() { c.fresh.Add(-1) })
	leave = sync.OnceFunc(func() { letIn(); c.open.Add(-1) })
	open, fresh := c.open.Add(1), c.fresh.Add(1)
	if open > maxSockets || fresh > maxNewSockets {
		leave()
		return nil, nil, domain.Unavailable("too many WebSockets are open; try again in a moment, or another process")
	}
	return letIn, leave, nil
}
