package privatepg

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/waypost/waypost/app/retry"
)

const (
	// startTimeout limits a start. Replaying 1 GB of WAL (max_wal_size) after a crash
	// takes seconds, on a slow disk a minute.
	startTimeout = 5 * time.Minute

	// leftoversTimeout limits the wait for sessions of a killed server: they notice and
	// end, unless one is stuck in the kernel.
	leftoversTimeout = 15 * time.Second

	// forcedStop is how long an immediate shutdown can take before SIGKILL.
	forcedStop = 5 * time.Second

	pollInterval = 5 * time.Millisecond
)

// server is one run of postgres.
type server struct {
	*process
	output *tail
}

// startServer starts postgres and waits until it accepts connections.
func (c *Cluster) startServer(ctx context.Context) (*server, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v", startTimeout))
	defer cancel()
	for begun := time.Now(); ; {
		s, err := c.launchServer()
		if err != nil {
			return nil, err
		}
		err = s.awaitReady(ctx, c.data.path)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			// It has accepted nothing yet, so there is nothing to wait for.
			return nil, both(context.Cause(ctx), s.end())
		}
		// The sessions of a killed server still have its memory.
		if !strings.Contains(err.Error(), "pre-existing shared memory block") || time.Since(begun) > leftoversTimeout {
			return nil, err
		}
		_ = retry.Sleep(ctx, 20*pollInterval)
	}
}

func (c *Cluster) launchServer() (*server, error) {
	// An abnormal stop has left a PID file. There cannot be another server, because
	// this process has the directory's lock and has checked for one.
	if err := removeStalePIDFile(c.data.path); err != nil {
		return nil, err
	}
	s := &server{output: &tail{logger: c.log}}
	cmd := c.program.command(c.account, "postgres")
	cmd.Args = append(cmd.Args, "-D", c.data.give(cmd))
	cmd.Args = append(cmd.Args, serverArguments(c.options.Settings, map[string]string{"unix_socket_directories": c.socket.Path()})...)
	cmd.Stderr = s.output
	var err error
	s.process, err = launch(cmd, fastShutdown)
	return s, err
}

// awaitReady waits until the server reports in its PID file that it is ready. Unlike a
// connection attempt, this does not load the server.
func (s *server) awaitReady(ctx context.Context, cluster string) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if f, found := readPIDFile(cluster); found && f.pid == s.pid && f.ready {
			return nil
		}
		select {
		case <-s.exited:
			return s.failure()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// failure returns the reason why a server has ended.
func (s *server) failure() error {
	switch ended := (*exec.ExitError)(nil); {
	case s.err == nil:
		return errors.New("postgres was shut down by another process")
	case panicked(s.output.lines()):
		err := reported("postgres", s.output.lines(), s.err)
		if errors.Is(err, ErrDiskFull) {
			return err
		}
		return fmt.Errorf("%w: %w; if its files are damaged, restore a backup (see docs/operations.md)", ErrDamaged, err)
	case errors.As(s.err, &ended) && ended.ExitCode() == -1:
		return fmt.Errorf("postgres: %w", s.err) // ended by a signal: nothing in its output explains that
	default:
		return reported("postgres", s.output.lines(), s.err)
	}
}

// stop shuts the server down in an orderly way, or immediately if ctx ends first.
func (s *server) stop(ctx context.Context) error {
	s.signal(fastShutdown)
	select {
	case <-s.exited:
		return nil
	case <-ctx.Done():
		err := fmt.Errorf("an orderly stop took too long; the next start recovers: %w", context.Cause(ctx))
		return both(err, s.end())
	}
}

// end ends the server without waiting for writes. Commits are in the WAL.
func (s *server) end() error {
	for _, signal := range []syscall.Signal{immediateShutdown, syscall.SIGKILL} {
		s.signal(signal)
		select {
		case <-s.exited:
			return nil
		case <-time.After(forcedStop):
		}
	}
	return fmt.Errorf("process %d survives SIGKILL", s.pid)
}
