package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// The platform listens on the ports that were asked for and on no other, and neither
// does its Postgres.
func TestOnlyRequestedPorts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, nil)
	pids := []int{r.Serve.PID()}
	directories, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well-formed
	for _, directory := range directories {
		pid, _ := strconv.Atoi(filepath.Base(directory))
		if stat, err := harness.ReadProcStat(pid); err == nil && stat.Parent == r.Serve.PID() {
			pids = append(pids, pid)
		}
	}
	if len(pids) < 2 {
		t.Fatal("its Postgres was not found")
	}
	_, port, _ := strings.Cut(r.Addr, ":")
	if got := listeningPorts(t, pids); !slices.Equal(got, []string{port}) {
		t.Errorf("it listens on the ports %v; want %s alone", got, port)
	}
}

// listeningPorts returns the TCP ports that processes listen on.
func listeningPorts(t *testing.T, pids []int) (ports []string) {
	t.Helper()
	own := map[string]bool{}
	for _, pid := range pids {
		descriptors, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is well-formed
		for _, d := range descriptors {
			if target, err := os.Readlink(d); err == nil && strings.HasPrefix(target, "socket:[") {
				own[strings.Trim(target, "socket:[]")] = true
			}
		}
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // there is no IPv6
		}
		for line := range strings.Lines(string(text)) {
			const listening = "0A"
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != listening || !own[fields[9]] {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			port, err := strconv.ParseUint(hex, 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, strconv.FormatUint(port, 10))
		}
	}
	return ports
}
