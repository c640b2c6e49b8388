package privatepg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

var (
	// ErrNoBinaries means that the machine has no usable Postgres. The error's text
	// tells the operator what to install.
	ErrNoBinaries = errors.New("no usable Postgres on this machine")
	// ErrVersion means that the data was created by a major version of Postgres that
	// the machine does not have.
	ErrVersion = errors.New("the data is of another Postgres version")
	// ErrInUse means that another process uses the directory.
	ErrInUse = errors.New("in use")
	// ErrDamaged means that Postgres cannot read the cluster's files.
	ErrDamaged = errors.New("postgres cannot read its data")
	// ErrDiskFull means that the disk has no space for the cluster.
	ErrDiskFull = errors.New("disk full")
)

// installHint returns how to install the binaries of a major version on this machine,
// or of any version if major is 0.
func installHint(major int) string {
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	suffix := func(separator string) string {
		if major == 0 {
			return ""
		}
		return fmt.Sprint(separator, major)
	}
	switch {
	case runtime.GOOS == "darwin" && major == 0:
		return "brew install postgresql@17"
	case runtime.GOOS == "darwin":
		return "brew install postgresql" + suffix("@")
	case exists("/etc/debian_version"):
		return "apt-get install postgresql" + suffix("-")
	case exists("/etc/alpine-release"):
		return "apk add postgresql" + suffix("")
	case exists("/etc/redhat-release"):
		return "dnf install postgresql-server"
	default:
		return "the system's package manager has it as postgresql or postgresql-server"
	}
}

// reported converts the output of a Postgres program before its end to a one-line
// error.
func reported(program string, lines []string, cause error) error {
	line := lastComplaint(lines)
	switch {
	case errors.Is(cause, context.Canceled), errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", program, cause) // it was ended, so its output is not a complaint
	case strings.Contains(line, "No space left on device"):
		return fmt.Errorf("%w: %s; free some space or choose another data directory", ErrDiskFull, line)
	case line != "":
		return fmt.Errorf("%s: %s", program, line)
	default:
		return fmt.Errorf("%s: %w", program, cause)
	}
}

// panicked reports whether Postgres panicked. It then ends itself with a signal.
func panicked(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "PANIC:") })
}

// lastComplaint returns the line with the reason: the last line with a severity that
// ends a program, or else the last line.
func lastComplaint(lines []string) string {
	for _, line := range slices.Backward(lines) {
		for _, severity := range []string{"FATAL:", "PANIC:", "error:"} {
			if _, text, ok := strings.Cut(line, severity); ok {
				return strings.TrimSpace(text)
			}
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// both joins an error and an error in handling it, if there is one, on one line.
func both(err, further error) error {
	if further == nil {
		return err
	}
	return fmt.Errorf("%w; %w", err, further)
}
