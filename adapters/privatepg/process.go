package privatepg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// pipeGrace is how long to wait for the output of an ended process: children that
// outlive it hold the pipe open.
const pipeGrace = time.Second

// Signals, named after their effect on Postgres.
const (
	fastShutdown      = syscall.SIGINT  // ends sessions and writes everything
	immediateShutdown = syscall.SIGQUIT // as in a crash
)

// process is a started command.
type process struct {
	pid    int
	handle *os.Process
	exited chan struct{} // closed when it has ended
	err    error         // how it ended; read it after exited is closed
}

// launch starts a command that receives a signal when this process dies.
//
// It starts the command and waits for it on a separate OS thread: Linux sends that
// signal when the starting thread ends, and Go ends threads as it sees fit.
func launch(cmd *exec.Cmd, onDeath syscall.Signal) (*process, error) {
	setDeathSignal(cmd.SysProcAttr, onDeath)
	cmd.WaitDelay = pipeGrace
	p := &process{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid, p.handle = cmd.Process.Pid, cmd.Process
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		if errors.Is(p.err, exec.ErrWaitDelay) {
			p.err = nil // it succeeded; one of its children still has the pipe
		}
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", cmd.Path, err)
	}
	return p, nil
}

// signal sends a signal. It is not an error if the process has ended, because the
// caller waits for exited.
func (p *process) signal(s syscall.Signal) { _ = p.handle.Signal(s) }
