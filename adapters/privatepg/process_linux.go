package privatepg

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func setDeathSignal(attr *syscall.SysProcAttr, s syscall.Signal) { attr.Pdeathsig = s }

// isServerOf reports whether a process is a Postgres that works in the cluster: its
// binary is called postgres, and its working directory, which the server sets and the
// kernel reports, is the cluster. A process with a reused PID fails this check.
func isServerOf(pid int, cluster string) bool {
	proc := fmt.Sprintf("/proc/%d/", pid)
	binary, err := os.Readlink(proc + "exe")
	if err != nil {
		return false // ended, a zombie, or another user's
	}
	// An upgrade of the package leaves "postgres (deleted)".
	if !strings.HasPrefix(filepath.Base(binary), "postgres") {
		return false
	}
	there, err := os.Stat(proc + "cwd")
	if err != nil {
		return false
	}
	here, err := os.Stat(cluster)
	return err == nil && os.SameFile(there, here)
}

// throughDescriptor returns the name by which a process reaches a directory that it has
// inherited as its file descriptor fd, regardless of the directories above.
func throughDescriptor(fd int) (string, bool) {
	return fmt.Sprintf("/proc/self/fd/%d", fd), true
}
