package harness

import (
	"testing"
	"time"
)

func TestProcStat(t *testing.T) {
	line := "812 (post gres) x) S 7 812 812 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 99"
	got, err := parseProcStat(line)
	want := ProcStat{Parent: 7, Own: 2 * time.Second, Waited: 500 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("parseProcStat = %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseProcStat("812 (postgres) S 7"); err == nil {
		t.Error("a line that is cut short is taken")
	}
}
