package recovery

import (
	"context"
	"testing"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/bench"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
)

// Nothing that was acknowledged is lost, and nothing is sent again that was known
// to be sent, when the platform is killed under load. `waypost bench chaos` is the
// long form.
func TestKillsUnderLoadLoseNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("kills the platform, and waits for what it lost")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	b := bench.Chaos{
		Kills: 2, Rate: 200, Drop: 0.05, Every: time.Second, Seed: 20,
		SettleAfterOutage: 6 * time.Second, Patience: 45 * time.Second,
	}
	dir := t.TempDir()
	e2etest.CopyPostgres(t, dir)
	figures, err := b.Measure(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := figures.(bench.ChaosReport)
	if !ok || r.Messages == 0 || r.WhatsApp.Answers["cut"] == 0 {
		t.Fatalf("figures %+v: no message or no lost answer, so they prove nothing", figures)
	}
	for _, f := range r.Findings() {
		t.Error(f)
	}
	t.Logf("%d messages, %d calls retried, all read %.1f s after the load, sent twice %d, restart %v",
		r.Messages, r.Retries, r.Settled, r.WhatsApp.Duplicates, r.Restart)
}
