//go:build unix && !linux

package privatepg

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// setDeathSignal does nothing: only Linux has such a signal. A server that outlives
// the program is stopped by the next one.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}

// isServerOf reports whether a process is a Postgres that was started on the
// cluster, by its command line. A pid that was used again fails this.
func isServerOf(pid int, cluster string) bool {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	command := string(out)
	return err == nil && strings.Contains(command, "postgres") && strings.Contains(command, "-D "+cluster+" ")
}

// throughDescriptor reports that a folder cannot be reached by a descriptor.
func throughDescriptor(int) (string, bool) { return "", false }
