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

// pipeGrace is how long the output of an ended process is waited for: children
// that outlive it hold the pipe open.
const pipeGrace = time.Second

// Signals, by what Postgres does on them.
const (
	fastShutdown      = syscall.SIGINT  // sessions are ended, everything is written
	immediateShutdown = syscall.SIGQUIT // as in a crash
)

// process is a started command.
type process struct {
	pid    int
	handle *os.Process
	exited chan struct{} // closed when it has ended
	err    error         // how it ended; read it after exited
}

// launch starts a command that gets a signal when the program dies.
//
// It starts and waits on an OS thread of its own: Linux sends that signal when the
// starting thread ends, and Go ends threads as it sees fit.
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
			p.err = nil // it ended well; a child of it still has the pipe
		}
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", cmd.Path, err)
	}
	return p, nil
}

// signal sends a signal. That the process may have ended is no error: whoever sends
// one waits for exited.
func (p *process) signal(s syscall.Signal) { _ = p.handle.Signal(s) }
