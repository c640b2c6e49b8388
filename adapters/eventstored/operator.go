package eventstored

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// A running server takes orders from its operator, another process of the same user on the same machine, over HTTP on a
// loopback port of its own. Where that is, and the token that is asked for, stand in a file of the data folder, which
// nobody else can read. EventStoreDB has no such calls that its official client knows.

// operatorFile is in the data folder while a server runs.
const operatorFile = "operator.json"

// maxOrderBytes bounds an order: it holds a path.
const maxOrderBytes = 64 << 10

// operatorAccess is the content of the file.
type operatorAccess struct {
	Addr  string `json:"addr"`
	Token string `json:"token"`
}

type backupOrder struct {
	To string `json:"to"`
}

// operatorAnswer is an answer: an error or what the order gave.
type operatorAnswer struct {
	Error     string               `json:"error,omitempty"`
	Scavenged store.ScavengeReport `json:"scavenged"`
}

// operatorPort is the server's side.
type operatorPort struct {
	server *http.Server
	file   string
	token  string
	end    context.CancelFunc
}

// openOperatorPort begins to take orders.
func (s *Server) openOperatorPort(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("event store: port for its operator: %w", err)
	}
	p := &operatorPort{file: filepath.Join(s.opts.Dir, operatorFile), token: rand.Text()}
	access, err := json.Marshal(operatorAccess{Addr: listener.Addr().String(), Token: p.token})
	if err == nil {
		err = errors.Join(os.RemoveAll(p.file), os.WriteFile(p.file, access, 0o600)) // its mode counts when it is made
	}
	if err != nil {
		return errors.Join(fmt.Errorf("event store: access for its operator: %w", err), listener.Close())
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	p.end = end
	orders := http.NewServeMux()
	orders.HandleFunc("POST /backup", p.take(func(_ context.Context, body []byte) (operatorAnswer, error) {
		var order backupOrder
		if err := json.Unmarshal(body, &order); err != nil {
			return operatorAnswer{}, err
		}
		return operatorAnswer{}, s.store.Backup(order.To)
	}))
	orders.HandleFunc("POST /scavenge", p.take(func(ctx context.Context, _ []byte) (operatorAnswer, error) {
		report, err := s.store.Scavenge(ctx)
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
		if err := p.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.opts.Logger.WarnContext(life, "event store takes no more orders of its operator", "error", err)
		}
	})
	return nil
}

// take lets only who knows the token give an order.
func (p *operatorPort) take(do func(ctx context.Context, body []byte) (operatorAnswer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+p.token)) != 1 {
			http.Error(w, "wrong token", http.StatusUnauthorized)
			return
		}
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

// close ends orders under way.
func (p *operatorPort) close(ctx context.Context) error {
	p.end()
	var err error
	if p.server.Shutdown(ctx) != nil { // out of time
		err = p.server.Close()
	}
	return errors.Join(err, os.RemoveAll(p.file))
}

// Operator gives orders to the server that runs on a data folder, from another process.
type Operator struct {
	access operatorAccess
	client *http.Client
}

// NewOperator finds the server that runs on a data folder. It fails if there is none, or one of another user.
func NewOperator(dir string) (*Operator, error) {
	text, err := os.ReadFile(filepath.Join(dir, operatorFile))
	if err != nil {
		return nil, fmt.Errorf("event store in %s: the program that uses it cannot be asked: %w", dir, err)
	}
	o := &Operator{client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	if err := json.Unmarshal(text, &o.access); err != nil {
		return nil, fmt.Errorf("event store in %s: %s: %w", dir, operatorFile, err)
	}
	return o, nil
}

// Backup is Server.Backup; to must be an absolute path, where the server may write.
func (o *Operator) Backup(ctx context.Context, to string) error {
	_, err := o.order(ctx, "backup", backupOrder{To: to})
	return err
}

// Scavenge is Server.Scavenge.
func (o *Operator) Scavenge(ctx context.Context) (store.ScavengeReport, error) {
	answer, err := o.order(ctx, "scavenge", struct{}{})
	return answer.Scavenged, err
}

func (o *Operator) order(ctx context.Context, what string, order any) (answer operatorAnswer, err error) {
	body, err := json.Marshal(order)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+o.access.Addr+"/"+what, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Authorization", "Bearer "+o.access.Token)
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
