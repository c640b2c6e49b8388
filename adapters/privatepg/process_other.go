//go:build unix && !linux

package privatepg

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// setDeathSignal does nothing, because only Linux has such a signal. A server that
// outlives Waypost is stopped by the next process.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}

// isServerOf reports whether a process is a Postgres that was started on the cluster,
// by its command line. A process with a reused PID fails this check.
func isServerOf(pid int, cluster string) bool {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	command := string(out)
	return err == nil && strings.Contains(command, "postgres") && strings.Contains(command, "-D "+cluster+" ")
}

// throughDescriptor reports that a directory cannot be reached by a descriptor.
func throughDescriptor(int) (string, bool) { return "", false }
