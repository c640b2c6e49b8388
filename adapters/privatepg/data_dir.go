package privatepg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// dataDir is a directory as the cluster's user reaches it.
//
// A data directory is often in a place that only root can enter: under /root, or in a
// directory of mode 0700 that also contains the keys. In that case, the server inherits the
// open directory and names it by its descriptor. The kernel resolves that name without
// checking the directories above.
type dataDir struct {
	path string
	file *os.File // open if the directory is reached by descriptor
}

// open determines how the account reaches a directory that it owns.
func (p program) open(ctx context.Context, a account, path string) (dataDir, error) {
	if !a.switched {
		return dataDir{path: path}, nil
	}
	// Permissions, access lists, and security modules decide, so try it.
	probe := p.command(a, "postgres", "--version")
	probe.Dir = path
	if _, err := p.run(ctx, versionTimeout, probe); err == nil {
		return dataDir{path: path}, nil
	}
	if _, possible := throughDescriptor(0); !possible {
		return dataDir{}, fmt.Errorf("user %s, which runs Postgres for root, cannot enter %s; chmod o+x the directories above it, run Waypost as an ordinary user, or choose another data directory", a.name, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return dataDir{}, err
	}
	return dataDir{path: path, file: file}, nil
}

// reachable reports whether the account can use the path itself.
func (f dataDir) reachable() bool { return f.file == nil }

// give passes the directory to a command and returns its name there.
func (f dataDir) give(cmd *exec.Cmd) string {
	if f.file == nil {
		return f.path
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, f.file)
	name, _ := throughDescriptor(2 + len(cmd.ExtraFiles)) // they follow stdin, stdout, and stderr
	return name
}

func (f dataDir) close() {
	if f.file != nil {
		f.file.Close()
	}
}
