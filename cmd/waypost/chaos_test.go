package main

import (
	"context"
	"testing"
	"time"
)

// Nothing that was acknowledged is lost, and nothing is sent again that was known
// to be sent, when the platform is killed under load. `waypost bench chaos` is the
// long form.
func TestKillsUnderLoadLoseNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("kills the platform, and waits for what it lost")
	}
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	b := benchChaos{
		Kills: 2, Rate: 200, Drop: 0.05, Every: time.Second, Seed: 20,
		SettleAfterOutage: 6 * time.Second, Patience: 45 * time.Second,
	}
	figures, err := b.measure(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, ok := figures.(chaosReport)
	if !ok || r.Messages == 0 || r.WhatsApp.Answers["cut"] == 0 {
		t.Fatalf("figures %+v: no message or no lost answer, so they prove nothing", figures)
	}
	for _, f := range r.findings() {
		t.Error(f)
	}
	t.Logf("%d messages, %d calls retried, all read %.1f s after the load, sent twice %d, restart %v",
		r.Messages, r.Retries, r.Settled, r.WhatsApp.Duplicates, r.Restart)
}

func TestProcStat(t *testing.T) {
	line := "812 (post gres) x) S 7 812 812 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 99"
	got, err := parseProcStat(line)
	want := procStat{parent: 7, own: 2 * time.Second, waited: 500 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("parseProcStat = %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseProcStat("812 (postgres) S 7"); err == nil {
		t.Error("a line that is cut short is taken")
	}
}
