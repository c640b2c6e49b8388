package main

import (
	"context"
	"testing"
	"time"
)

// One of two processes that send is killed: the other serves its senders soon, and
// by the stamps of both no sender ever goes above its rate. `waypost bench
// failover` is the long form.
func TestLanesOfAKilledProcessAreTakenOver(t *testing.T) {
	if testing.Short() {
		t.Skip("runs two processes and kills one")
	}
	t.Parallel() // it waits most of the time
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	b := benchFailover{Senders: 4, Rate: 20, Duration: 15 * time.Second, Latency: 50 * time.Millisecond}
	figures, err := b.measure(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, ok := figures.(failoverReport)
	if !ok || f.Stood == 0 {
		t.Fatalf("figures %+v: the process that was killed sent for nobody", figures)
	}
	for _, found := range f.paces.findings(f.Rate) {
		t.Error(found)
	}
	if f.Echo > 0 {
		t.Errorf("%d messages were sent again after their echo was recorded", f.Echo)
	}
	if f.Longest > 2*failoverGoal.Seconds() { // a busy machine is slower than the goal
		t.Errorf("a sender stood still for %.1f s", f.Longest)
	}
	t.Logf("%d senders stood still, at most %.2f s; most in a second %d", f.Stood, f.Longest, f.WrittenMost)
}
