package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/adapters/loopback"
)

// pager is a receiver of alerts at a fixed address, which it need not listen on yet.
type pager struct {
	addr string
	mu   sync.Mutex
	seen map[string]bool // ids of what came
	told []string        // state and kind of each, once
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var n struct {
		Data struct{ State, Kind string }
	}
	if err != nil || json.Unmarshal(body, &n) != nil || r.Header.Get("Webhook-Signature") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if id := r.Header.Get("Webhook-Id"); !p.seen[id] {
		p.seen[id] = true
		p.told = append(p.told, n.Data.State+" "+n.Data.Kind)
	}
}

func (p *pager) await(ctx context.Context, t *testing.T, n int) []string {
	t.Helper()
	for {
		p.mu.Lock()
		told := slices.Clone(p.told)
		p.mu.Unlock()
		if len(told) >= n {
			return told
		}
		if ctx.Err() != nil {
			t.Fatalf("told %v; want %d", told, n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// What happened to an alert while its receiver was away is told after the platform was
// restarted and the receiver is back.
func TestAlertsAreToldAfterAnOutageAndARestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p := &pager{addr: addr, seen: map[string]bool{}}
	r := startTestRig(ctx, t, []string{
		"WAYPOST_ALERT_WEBHOOK_URL=http://" + addr, "WAYPOST_ALERT_WEBHOOK_SECRET=" + hooks.NewSecret(),
	}, nil)
	threshold := func(v float64) {
		t.Helper()
		if err := r.client.do(ctx, `mutation($t: Float) { setAlertRule(input: {kind: DISK_SPACE, id: "disk-space", threshold: $t}) { id } }`,
			map[string]any{"t": v}, &struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	threshold(0.000001)
	awaitAlert(ctx, t, r, "DISK_SPACE", "RAISED")
	var open struct {
		Alerts struct {
			Edges []struct{ Node struct{ ID string } }
		}
	}
	if err := r.client.do(ctx, `{ alerts { edges { node { id } } } }`, nil, &open); err != nil {
		t.Fatal(err)
	}
	if err := r.client.do(ctx, `mutation($id: ID!) { acknowledgeAlert(id: $id, note: "on it") { id } }`,
		map[string]any{"id": open.Alerts.Edges[0].Node.ID}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	if err := r.serve.stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.startServe(ctx); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	if told := p.await(ctx, t, 2); !slices.Equal(told, []string{"RAISED DISK_SPACE", "ACKNOWLEDGED DISK_SPACE"}) {
		t.Errorf("told %v", told)
	}
	threshold(1)
	if told := p.await(ctx, t, 3); told[2] != "RESOLVED DISK_SPACE" {
		t.Errorf("told %v", told)
	}
}
