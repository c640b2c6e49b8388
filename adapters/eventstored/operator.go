package eventstored

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// A running server accepts orders from its operator, another process of the same user on the same machine, over HTTP on
// a second Unix socket. EventStoreDB's official client has no calls for these orders.

// maxOrderBytes limits the size of an order, which contains a path.
const maxOrderBytes = 64 << 10

type backupOrder struct {
	To string `json:"to"`
}

// operatorAnswer is the response to an order: an error or the result.
type operatorAnswer struct {
	Error     string               `json:"error,omitempty"`
	Scavenged store.ScavengeReport `json:"scavenged"`
}

// operatorService is the server side.
type operatorService struct {
	server *http.Server
	end    context.CancelFunc
}

// serveOperator starts to accept orders.
func (s *Server) serveOperator(ctx context.Context) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	p := &operatorService{end: end}
	orders := http.NewServeMux()
	orders.HandleFunc("POST /backup", takeOrder(func(_ context.Context, body []byte) (operatorAnswer, error) {
		var order backupOrder
		if err := json.Unmarshal(body, &order); err != nil {
			return operatorAnswer{}, err
		}
		return operatorAnswer{}, s.store.Backup(order.To)
	}))
	orders.HandleFunc("POST /scavenge", takeOrder(func(ctx context.Context, _ []byte) (operatorAnswer, error) {
		report, err := s.Scavenge(ctx)
		return operatorAnswer{Scavenged: report}, err
	}))
	p.server = &http.Server{
		Handler:           orders,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return life },
	}
	s.operator = p
	s.served.Go(func() {
		if err := p.server.Serve(s.sockets.operator); !errors.Is(err, http.ErrServerClosed) {
			s.opts.Logger.WarnContext(life, "event store no longer accepts orders from its operator", "error", err)
		}
	})
}

// takeOrder returns the handler of an order.
func takeOrder(do func(ctx context.Context, body []byte) (operatorAnswer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrderBytes))
		var answer operatorAnswer
		if err == nil {
			answer, err = do(r.Context(), body)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // the operator has gone
	}
}

// close cancels orders in progress.
func (p *operatorService) close(ctx context.Context) error {
	p.end()
	if p.server.Shutdown(ctx) != nil { // out of time
		return p.server.Close()
	}
	return nil
}

// Operator sends orders from another process to the server that runs on a data directory.
type Operator struct{ client *http.Client }

// NewOperator returns an Operator for the server that runs on a data directory. It fails if there is none, or if the
// server belongs to another user.
func NewOperator(dir string) (*Operator, error) {
	path, err := findSocket(dir, operatorSocket)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("event store in %s: cannot reach the process that uses it: %w", dir, err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Operator{client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}}, nil
}

// Backup is like Server.Backup. to must be an absolute path that the server can write to.
func (o *Operator) Backup(ctx context.Context, to string) error {
	_, err := o.order(ctx, "backup", backupOrder{To: to})
	return err
}

// Scavenge is like Server.Scavenge.
func (o *Operator) Scavenge(ctx context.Context) (store.ScavengeReport, error) {
	answer, err := o.order(ctx, "scavenge", struct{}{})
	return answer.Scavenged, err
}

func (o *Operator) order(ctx context.Context, what string, order any) (answer operatorAnswer, err error) {
	body, err := json.Marshal(order)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://operator/"+what, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	res, err := o.client.Do(req)
	if err != nil {
		return answer, fmt.Errorf("ask the running event store for a %s: %w", what, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("ask the running event store for a %s: %s", what, res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("ask the running event store for a %s: %w", what, err)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}
