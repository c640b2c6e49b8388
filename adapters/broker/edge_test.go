package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
)

// edgeSettings is the environment variable that makes the test binary run the edge, so that
// a test can kill it.
const edgeSettings = "WAYPOST_TEST_EDGE"

// runEdge runs the edge until the process is killed.
func runEdge() int {
	var s settings
	if err := json.Unmarshal([]byte(os.Getenv(edgeSettings)), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx := context.Background()
	e, err := openEdge(ctx, s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	e.run(ctx)
	return 0
}

// An edgeProcess runs the edge in its own process.
type edgeProcess struct {
	stores  *stores
	mu      sync.Mutex
	running *exec.Cmd
}

func (s *stores) startEdge() *edgeProcess {
	s.tb.Helper()
	p := &edgeProcess{stores: s}
	s.tb.Cleanup(p.kill)
	p.start()
	return p
}

func (p *edgeProcess) start() {
	p.stores.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	raw, err := json.Marshal(p.stores.settings)
	must(p.stores.tb, err)
	p.running = exec.Command(os.Args[0])
	p.running.Env = append(os.Environ(), edgeSettings+"="+string(raw))
	p.running.Stderr = os.Stderr
	must(p.stores.tb, p.running.Start())
}

// kill ends the process with SIGKILL.
func (p *edgeProcess) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return
	}
	_ = p.running.Process.Kill()
	_ = p.running.Wait()
	p.running = nil
}
