package privatepg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// folder is a folder as the cluster's user reaches it.
//
// A data directory often lies where only root may go: under /root, or in a folder of
// mode 0700 that has the keys in it, too. The server then inherits the open folder
// and calls it by its descriptor; the kernel follows that name without a look at
// the folders above.
type folder struct {
	path string
	file *os.File // open if it is reached by descriptor
}

// open finds out how the account reaches a folder that belongs to it.
func (p program) open(ctx context.Context, a account, path string) (folder, error) {
	if !a.switched {
		return folder{path: path}, nil
	}
	// Rights, access lists and security modules decide: so try it.
	probe := p.command(a, "postgres", "--version")
	probe.Dir = path
	if _, err := p.run(ctx, versionTimeout, probe); err == nil {
		return folder{path: path}, nil
	}
	if _, possible := throughDescriptor(0); !possible {
		return folder{}, fmt.Errorf("user %s, whom root runs Postgres as, may not enter %s; chmod o+x the folders above it, run as an ordinary user, or choose another data directory", a.name, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return folder{}, err
	}
	return folder{path: path, file: file}, nil
}

// reachable reports whether the account can use the path itself.
func (f folder) reachable() bool { return f.file == nil }

// give hands the folder to a command and returns the name it has there.
func (f folder) give(cmd *exec.Cmd) string {
	if f.file == nil {
		return f.path
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, f.file)
	name, _ := throughDescriptor(2 + len(cmd.ExtraFiles)) // they follow stdin, stdout and stderr
	return name
}

func (f folder) close() {
	if f.file != nil {
		f.file.Close()
	}
}
