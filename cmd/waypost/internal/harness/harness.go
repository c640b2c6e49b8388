// Package harness runs Waypost and a simulated WhatsApp as processes, for load scenarios and for tests.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

const (
	// readyTimeout bounds the start of a child. It is longer than the start of its stores can take.
	readyTimeout = platform.StartTimeout + 10*time.Second
	// ReadyPoll is the time between two checks whether a starting child is ready.
	ReadyPoll = 20 * time.Millisecond
	// stopGrace is the time that a child can take to drain before it is killed: twice the default drain timeout.
	stopGrace = 20 * time.Second
	// LogTail is the length of the end of a child's log that an error shows, in bytes.
	LogTail = 2000
)

// Program is the executable of Waypost that children run. If empty, it is the one of this process. Tests, which are another program,
// set it before they start children.
var Program string

// A Child is a process of Waypost.
type Child struct {
	name string
	Log  string // path of its output
	Cmd  *exec.Cmd
	Done chan struct{} // closed when the process has ended
	Err  error         // of the process; read it only after Done is closed
}

// StartChild runs Waypost with arguments, in its own process group, so that Ctrl-C reaches only the parent, which then stops its
// children. On Linux, a child ends if its parent is killed, so that interrupted tests and benches leave no processes behind. The child
// gets env, but no settings from the parent's environment. Its output is appended to dir/name.log.
func StartChild(dir, name string, env []string, args ...string) (*Child, error) {
	executable := Program
	if executable == "" {
		var err error
		if executable, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	return startProgram(executable, dir, name, env, args...)
}

// startProgram is StartChild for another executable, such as an earlier version.
func startProgram(executable, dir, name string, env []string, args ...string) (*Child, error) {
	path := filepath.Join(dir, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()                        // the child has its own descriptor
	cmd := exec.Command(executable, args...) //nolint:noctx // Stop stops it in stages
	cmd.Dir = dir                            // so that the caller's waypost.yaml is not read
	cmd.Env = append(ChildEnv(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	c := &Child{name: name, Log: path, Cmd: cmd, Done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread is the child's parent, and Go can end threads
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.Err = cmd.Wait()
		close(c.Done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// ChildEnv returns the environment of this process without settings of Waypost.
func ChildEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "WAYPOST_")
	})
}

// PID returns the process ID.
func (c *Child) PID() int { return c.Cmd.Process.Pid }

// first gives the child a higher priority if that is allowed. The real WhatsApp is another machine, so load on this one must not delay
// its responses.
func (c *Child) first() {
	const nice = -10
	_ = syscall.Setpriority(syscall.PRIO_PGRP, c.PID(), nice) // only root may
}

// Ready waits until url answers 200, the child ends or readyTimeout passes.
func (c *Child) Ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(ReadyPoll)
	defer tick.Stop()
	for {
		if _, err := GetOK(ctx, url); err == nil {
			return nil
		}
		select {
		case <-c.Done:
			return fmt.Errorf("%s ended before it was ready: %w; its log ends: %s", c.name, errors.Join(c.Err), c.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its log ends: %s", c.name, ctx.Err(), c.Tail())
		case <-tick.C:
		}
	}
}

// Tail returns the end of the child's log.
func (c *Child) Tail() string {
	text, err := os.ReadFile(c.Log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-LogTail):])
}

// Stop sends SIGTERM and waits for the child. After stopGrace, it kills the child and returns an error.
func (c *Child) Stop() error {
	_ = c.Cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.Done:
		return c.Err
	case <-time.After(stopGrace):
		c.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed; its log ends: %s", c.name, stopGrace, c.Tail())
	}
}

// Kill kills only the process itself (SIGKILL), not the processes that it started.
func (c *Child) Kill() {
	_ = c.Cmd.Process.Kill() // it may have ended
	<-c.Done
}

// GetOK returns the body of a response with status 200. Any other status is an error.
func GetOK(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return apiclient.RoundTrip(http.DefaultClient, req)
}

// The credentials of a TestEnv. They are useless elsewhere. Tests look for them in the logs.
const (
	AdminKey  = "wpk_rig-8fe1c0d5a4b947f2"
	Token     = "EAArigTokenQ7vK2mZx" //nolint:gosec // made up
	AppSecret = "rig-app-secret-51c9" //nolint:gosec // made up
)

// A TestEnv is Waypost and a simulated WhatsApp, each in its own process. Their logs and the data directory are in one directory.
type TestEnv struct {
	Dir       string
	Addr      string // serve's
	simulator *Child
	SimURL    string
	simAddr   string
	Serve     *Child
	Store     *Child   // the event store, if StartStore started it and Stop must stop it
	Program   string   // executable that serve runs; if empty, the package's Program
	Env       []string // additional settings of serve
	Client    *Client
}

// Start starts both processes in dir, with their defaults. env adds settings of serve. control has settings of the simulator, by their
// names at /control.
func Start(ctx context.Context, dir string, env []string, control map[string]any) (_ *TestEnv, err error) {
	r := &TestEnv{Dir: dir, Env: env}
	if r.Addr, err = loopback.FreeAddr(); err != nil {
		return nil, err
	}
	r.Client = NewClient("http://"+r.Addr+"/graphql", AdminKey)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Stop())
		}
	}()
	if err := r.StartSimulator(ctx, control); err != nil {
		return nil, err
	}
	return r, r.StartServe(ctx)
}

// StartSimulator starts the simulated WhatsApp, which sends webhooks to r.addr.
func (r *TestEnv) StartSimulator(ctx context.Context, control map[string]any) (err error) {
	if r.simAddr, err = loopback.FreeAddr(); err != nil {
		return err
	}
	r.SimURL = "http://" + r.simAddr
	r.simulator, err = StartChild(r.Dir, "simulator", []string{"WAYPOST_SIMULATOR_APP_SECRET=" + AppSecret},
		"simulator", "--addr", r.simAddr, "--webhook-url", "http://"+r.Addr+"/webhooks/whatsapp")
	if err != nil {
		return err
	}
	r.simulator.first()
	if err := r.simulator.Ready(ctx, r.SimURL+"/stats"); err != nil {
		return err
	}
	return r.Control(ctx, control)
}

// DataDir returns the data directory of Waypost.
func (r *TestEnv) DataDir() string { return filepath.Join(r.Dir, "data") }

// StartServe starts Waypost, also after it was stopped or killed, and waits until it is ready.
func (r *TestEnv) StartServe(ctx context.Context) error {
	c, err := r.StartNode("serve", r.ServeEnv(r.Addr, r.DataDir()))
	if err != nil {
		return err
	}
	r.Serve = c
	return c.Ready(ctx, "http://"+r.Addr+"/readyz")
}

// StartNode starts serve and doesn't wait until it is ready.
func (r *TestEnv) StartNode(name string, env []string) (*Child, error) {
	if r.Program == "" {
		return StartChild(r.Dir, name, env, "serve")
	}
	return startProgram(r.Program, r.Dir, name, env, "serve")
}

// ServeEnv returns the settings of a process that listens at addr.
func (r *TestEnv) ServeEnv(addr, dataDir string) []string {
	return append([]string{
		"WAYPOST_ADDR=" + addr,
		"WAYPOST_DATA_DIR=" + dataDir,
		"WAYPOST_ADMIN_KEY=" + AdminKey,
		"WAYPOST_WHATSAPP_URL=" + r.SimURL + "/v25.0",
		"WAYPOST_WHATSAPP_TOKEN=" + Token,
		"WAYPOST_WHATSAPP_APP_SECRET=" + AppSecret,
	}, r.Env...)
}

// Stop stops the processes, Waypost first, because the simulator and the store must respond while Waypost drains.
func (r *TestEnv) Stop() error {
	var errs []error
	for _, c := range []*Child{r.Serve, r.simulator, r.Store} {
		if c != nil {
			errs = append(errs, c.Stop())
		}
	}
	return errors.Join(errs...)
}

// Control changes settings of the simulator.
func (r *TestEnv) Control(ctx context.Context, settings map[string]any) error {
	if len(settings) == 0 {
		return nil
	}
	body, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.SimURL+"/control", bytes.NewReader(body))
	if err != nil {
		return err
	}
	_, err = apiclient.RoundTrip(http.DefaultClient, req)
	return err
}

// Stats returns the simulator's statistics.
func (r *TestEnv) Stats(ctx context.Context) (s simulator.Stats, err error) {
	body, err := GetOK(ctx, r.SimURL+"/stats")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}
