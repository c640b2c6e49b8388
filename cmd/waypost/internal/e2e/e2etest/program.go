// Package e2etest runs Waypost as a program in tests: the processes of package harness, and commands that a test runs to their end.
// Every process is the same executable, which Main builds first.
package e2etest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// The exit codes of the program.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// Main builds the program, runs the tests of m, and returns their exit code. TestMain must call it.
func Main(m *testing.M) int {
	flag.Parse()
	if list := flag.Lookup("test.list"); list != nil && list.Value.String() != "" {
		return m.Run() // it only lists the tests
	}
	dir, err := os.MkdirTemp("", "waypost-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitFailed
	}
	defer os.RemoveAll(dir)
	if err := build(filepath.Join(dir, "waypost")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitFailed
	}
	return postgrestest.Main(m)
}

func build(program string) error {
	source, err := RepositoryPath("cmd", "waypost")
	if err != nil {
		return err
	}
	// The tests don't import package main. go test repeats them after a change of a file that they have opened.
	files, err := filepath.Glob(filepath.Join(source, "*.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", program, ".")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build waypost: %w: %s", err, out)
	}
	if err := os.Chmod(program, 0o755); err != nil { // a test runs it as another user
		return err
	}
	harness.Program = program
	return nil
}

// RepositoryPath returns the path of a file of the repository, given its elements below the root.
func RepositoryPath(elements ...string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(append([]string{dir}, elements...)...), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is in no Go module")
		}
		dir = parent
	}
}

// Command returns the program with arguments, ready to start. It gets the environment of the test.
func Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, harness.Program, args...)
}

// Run runs the program to its end and returns what it printed.
func Run(args ...string) (code int, stdout, stderr string) {
	return RunWithInput(nil, args...)
}

// RunWithInput is Run with standard input. If stdin is nil, it is empty.
func RunWithInput(stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	cmd := Command(context.Background(), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	if err := cmd.Run(); err != nil {
		if exit := new(exec.ExitError); !errors.As(err, &exit) {
			fmt.Fprintln(&errs, err)
		}
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// MustRun runs the program to its end and returns its standard output. The test fails unless the exit code is ExitDone.
func MustRun(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := Run(args...)
	if code != ExitDone {
		t.Fatalf("waypost %q: exit code %d: %s", args, code, stderr)
	}
	return stdout
}
