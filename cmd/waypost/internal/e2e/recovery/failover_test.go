package recovery

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/cmd/waypost/internal/bench"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
)

// One of two processes that send is killed: the other serves its senders soon, and
// by the stamps of both no sender ever goes above its rate. `waypost bench
// failover` is the long form.
func TestLanesOfAKilledProcessAreTakenOver(t *testing.T) {
	if testing.Short() {
		t.Skip("runs two processes and kills one")
	}
	t.Parallel() // it waits most of the time
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	b := bench.Failover{Senders: 4, Rate: 20, Duration: 15 * time.Second, Latency: 50 * time.Millisecond}
	dir := t.TempDir()
	postgrestest.CopyCluster(t, filepath.Join(dir, "postgres"))
	figures, err := b.Measure(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := figures.(bench.FailoverReport)
	if !ok || f.Stopped == 0 {
		t.Fatalf("figures %+v: the killed process sent for no sender", figures)
	}
	for _, found := range f.Paces.Findings(f.Rate) {
		t.Error(found)
	}
	if f.Echo > 0 {
		t.Errorf("%d messages were sent again after their echo was recorded", f.Echo)
	}
	// How long that takes is measured by the benchmark, on a machine that does nothing else.
	t.Logf("%d senders stopped, at most %.2f s; most in a second %d", f.Stopped, f.Longest, f.WrittenMost)
}
