package privatepg

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost/waypost/app/retry"
)

const (
	// initdbTimeout limits the creation of a cluster, which takes 1–2 s, and ten times
	// that on slow disks.
	initdbTimeout = 3 * time.Minute

	// leftoverTimeout limits the wait for a process of a killed initdb to end.
	leftoverTimeout = 3 * time.Second

	// buildPrefix begins the names of the directories in which clusters are created.
	buildPrefix = "initdb-"
)

// initdb creates a cluster owned by the account, in a temporary directory under dir,
// which is renamed to cluster when everything is on disk.
func (p program) initdb(ctx context.Context, a account, dir, cluster string) error {
	build, err := os.MkdirTemp(dir, buildPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(build) // already renamed if all went well
	if err := a.own(build); err != nil {
		return err
	}
	target, err := p.open(ctx, a, build)
	if err != nil {
		return err
	}
	defer target.close()

	cmd := p.command(a, "initdb")
	cmd.Args = append(cmd.Args, "--pgdata="+target.give(cmd),
		"--username="+superuser, "--encoding=UTF8", "--locale=C", "--auth=peer", "--no-instructions")
	if out, err := p.run(ctx, initdbTimeout, cmd); err != nil {
		return reported("initdb", out, err)
	}
	if err := writeAccess(build, a); err != nil {
		return err
	}
	if err := syncPath(build); err != nil {
		return err
	}
	if err := os.Rename(build, cluster); err != nil {
		return err
	}
	return syncPath(dir)
}

// removeBuilds removes the directories of interrupted starts. If a start was interrupted
// only a moment ago, a process of its initdb may still be running there. If that process
// keeps running, the directory, which does no harm, is left to the next start.
func removeBuilds(ctx context.Context, dir string, log *slog.Logger) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		log.WarnContext(ctx, "cannot check for half-created Postgres clusters", "error", err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), buildPrefix) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		err := os.RemoveAll(path)
		for begun := time.Now(); err != nil && time.Since(begun) < leftoverTimeout && retry.Sleep(ctx, pollInterval) == nil; {
			err = os.RemoveAll(path)
		}
		if err != nil {
			log.WarnContext(ctx, "half-created Postgres cluster not removed", "error", err)
		}
	}
}

// writeAccess allows only root and the account to connect over the socket, both as the
// cluster's superuser. The kernel identifies the caller (peer), so there is no password
// to store.
func writeAccess(cluster string, a account) error {
	quote := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	files := map[string]string{
		"pg_hba.conf": "local all " + superuser + " peer map=own\n",
		"pg_ident.conf": "own " + quote(userName(0)) + " " + superuser + "\n" +
			"own " + quote(a.name) + " " + superuser + "\n",
	}
	// The directory already belongs to another user: as root, follow no link out of it.
	root, err := os.OpenRoot(cluster)
	if err != nil {
		return err
	}
	defer root.Close()
	for name, text := range files {
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		if _, err = f.WriteString(text); err == nil {
			err = f.Sync()
		}
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// syncPath makes a directory's entries, or a file's content, survive a power failure.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
