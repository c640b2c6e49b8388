package e2e

import (
	"context"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
)

// Notifications that a receiver missed are delivered after Waypost was restarted and the receiver is back.
func TestAlertsAreToldAfterAnOutageAndARestart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p := e2etest.NewPager()
	r := e2etest.Start(ctx, t, []string{
		"WAYPOST_ALERT_WEBHOOK_URL=http://" + addr, "WAYPOST_ALERT_WEBHOOK_SECRET=" + hooks.NewSecret(),
	}, nil)
	threshold := func(v float64) {
		t.Helper()
		if err := r.Client.Do(ctx, `mutation($t: Float) { setAlertRule(input: {kind: DISK_SPACE, id: "disk-space", threshold: $t}) { id } }`,
			map[string]any{"t": v}, &struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	threshold(0.000001)
	e2etest.AwaitAlert(ctx, t, r, "DISK_SPACE", "RAISED")
	var open struct {
		Alerts struct {
			Edges []struct{ Node struct{ ID string } }
		}
	}
	if err := r.Client.Do(ctx, `{ alerts { edges { node { id } } } }`, nil, &open); err != nil {
		t.Fatal(err)
	}
	if err := r.Client.Do(ctx, `mutation($id: ID!) { acknowledgeAlert(id: $id, note: "on it") { id } }`,
		map[string]any{"id": open.Alerts.Edges[0].Node.ID}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	if received := p.Await(ctx, t, 2); !slices.Equal(received, []string{"RAISED DISK_SPACE", "ACKNOWLEDGED DISK_SPACE"}) {
		t.Errorf("received %v", received)
	}
	threshold(1)
	if received := p.Await(ctx, t, 3); received[2] != "RESOLVED DISK_SPACE" {
		t.Errorf("received %v", received)
	}
}
