package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
)

const (
	// readyTimeout bounds the start of a child: that of the stores and some more.
	readyTimeout = startTimeout + 10*time.Second
	// readyPoll is how often a starting child is asked whether it is ready.
	readyPoll = 20 * time.Millisecond
	// stopGrace is how long a child may take to drain before it is killed: twice
	// the default drain timeout.
	stopGrace = 20 * time.Second
	// logTail is how much of a child's log an error shows, in bytes.
	logTail = 2000
)

// child is this program, run again with other arguments.
type child struct {
	name string
	log  string // path of what it writes
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read it after done
}

// startChild runs this program with the arguments, in a process group of its
// own, so that a Ctrl-C reaches the parent alone and it decides when children
// end. A child of a parent that was killed ends by itself on Linux: who stops tests or a
// bench half-way finds no platforms later that nobody uses. Settings of the parent's
// environment do not reach the child; env does.
// Output is appended to dir/name.log.
func startChild(dir, name string, env []string, args ...string) (*child, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()                        // the child has its own descriptor
	cmd := exec.Command(executable, args...) //nolint:noctx // it is stopped in stages by stop
	cmd.Dir = dir                            // no waypost.yaml of the caller's folder is read
	cmd.Env = append(childEnvironment(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	c := &child{name: name, log: path, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread is the child's parent, and Go ends threads as it sees fit
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// testMain makes the test binary behave as the program, see TestMain.
const testMain = "WAYPOST_TEST_MAIN"

func childEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "WAYPOST_") && !strings.HasPrefix(v, testMain+"=")
	})
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// first lets the child run before the others where that is allowed. WhatsApp is
// another machine: a load here must not keep it from noticing calls as they come.
func (c *child) first() {
	const nice = -10
	_ = syscall.Setpriority(syscall.PRIO_PGRP, c.pid(), nice) // only root may
}

// ready waits until url answers 200, the child ends or readyTimeout passes.
func (c *child) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if _, err := getOK(ctx, url); err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("%s ended before it was ready: %w; its log ends: %s", c.name, errors.Join(c.err), c.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its log ends: %s", c.name, ctx.Err(), c.tail())
		case <-tick.C:
		}
	}
}

// tail is the end of its log.
func (c *child) tail() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-logTail):])
}

// stop asks the child to end and kills it if it does not within stopGrace.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.done:
		return c.err
	case <-time.After(stopGrace):
		c.kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed; its log ends: %s", c.name, stopGrace, c.tail())
	}
}

// kill is kill -9, of the one process: what it started has to look after itself.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.done
}

// getOK is the body of an answer 200.
func getOK(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return roundTrip(http.DefaultClient, req)
}

// roundTrip is the body of the answer. One that is not 200 comes with an error.
func roundTrip(client *http.Client, req *http.Request) ([]byte, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.200s", req.Method, req.URL.Path, res.Status, body)
	}
	return body, err
}

// Credentials of a rig. They are worth nothing outside of it; a test looks for
// them in the logs.
const (
	rigAdminKey  = "wpk_rig-8fe1c0d5a4b947f2"
	rigToken     = "EAArigTokenQ7vK2mZx" //nolint:gosec // made up
	rigAppSecret = "rig-app-secret-51c9" //nolint:gosec // made up
)

// rig is a platform and a simulated WhatsApp, each a process, in one folder:
// their logs beside the data folder.
type rig struct {
	dir       string
	addr      string // serve's
	simulator *child
	simURL    string
	simAddr   string
	serve     *child
	env       []string // settings of serve beyond the usual ones
	client    *graphqlClient
}

// startRig starts both with their defaults. env adds settings to serve; control
// are the simulator's settings, by the names of its /control.
func startRig(ctx context.Context, dir string, env []string, control map[string]any) (_ *rig, err error) {
	r := &rig{dir: dir, env: env}
	if r.addr, err = loopback.FreeAddr(); err != nil {
		return nil, err
	}
	r.client = newGraphQLClient("http://"+r.addr+"/graphql", rigAdminKey)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.stop())
		}
	}()
	if err := r.startSimulator(ctx, control); err != nil {
		return nil, err
	}
	return r, r.startServe(ctx)
}

// startSimulator starts the simulated WhatsApp, which sends webhooks to r.addr.
func (r *rig) startSimulator(ctx context.Context, control map[string]any) (err error) {
	if r.simAddr, err = loopback.FreeAddr(); err != nil {
		return err
	}
	r.simURL = "http://" + r.simAddr
	r.simulator, err = startChild(r.dir, "simulator", []string{"WAYPOST_SIMULATOR_APP_SECRET=" + rigAppSecret},
		"simulator", "--addr", r.simAddr, "--webhook-url", "http://"+r.addr+"/webhooks/whatsapp", "--app-secret", rigAppSecret)
	if err != nil {
		return err
	}
	r.simulator.first()
	if err := r.simulator.ready(ctx, r.simURL+"/stats"); err != nil {
		return err
	}
	return r.control(ctx, control)
}

func (r *rig) dataDir() string { return filepath.Join(r.dir, "data") }

// startServe starts the platform, again after it was stopped or killed, and
// waits until it is ready.
func (r *rig) startServe(ctx context.Context) error {
	c, err := startChild(r.dir, "serve", r.serveEnv(r.addr, r.dataDir()), "serve")
	if err != nil {
		return err
	}
	r.serve = c
	return c.ready(ctx, "http://"+r.addr+"/readyz")
}

// serveEnv are the settings of a platform that listens at addr.
func (r *rig) serveEnv(addr, dataDir string) []string {
	return append([]string{
		"WAYPOST_ADDR=" + addr,
		"WAYPOST_DATA_DIR=" + dataDir,
		"WAYPOST_ADMIN_KEY=" + rigAdminKey,
		"WAYPOST_WHATSAPP_URL=" + r.simURL + "/v25.0",
		"WAYPOST_WHATSAPP_TOKEN=" + rigToken,
		"WAYPOST_WHATSAPP_APP_SECRET=" + rigAppSecret,
	}, r.env...)
}

// stop ends both, the platform first: the simulator still answers what drains.
func (r *rig) stop() error {
	var errs []error
	for _, c := range []*child{r.serve, r.simulator} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	return errors.Join(errs...)
}

// control changes the simulator's settings.
func (r *rig) control(ctx context.Context, settings map[string]any) error {
	if len(settings) == 0 {
		return nil
	}
	body, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.simURL+"/control", bytes.NewReader(body))
	if err != nil {
		return err
	}
	_, err = roundTrip(http.DefaultClient, req)
	return err
}

// stats are the simulator's figures.
func (r *rig) stats(ctx context.Context) (s simulator.Stats, err error) {
	body, err := getOK(ctx, r.simURL+"/stats")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}
