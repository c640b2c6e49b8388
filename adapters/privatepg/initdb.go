package privatepg

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// initdbTimeout bounds the making of a cluster, which takes 1–2 s and on slow
	// disks ten times that.
	initdbTimeout = 3 * time.Minute

	// leftoverTimeout bounds the wait for a process of a killed initdb to end.
	leftoverTimeout = 3 * time.Second

	// buildPrefix starts the names of the folders in which clusters are made.
	buildPrefix = "initdb-"
)

// initdb makes a cluster owned by the account: in a folder of its own under dir,
// which becomes the cluster at the end, when everything is on disk.
func (p program) initdb(ctx context.Context, a account, dir, cluster string) error {
	build, err := os.MkdirTemp(dir, buildPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(build) // it is gone if all went well
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

// removeBuilds clears away what interrupted starts have left. The last of them may be
// a moment ago, with a process of its initdb still at work there; if that lasts, the
// folder is left to the next start, it is in nobody's way.
func removeBuilds(ctx context.Context, dir string, log *slog.Logger) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		log.WarnContext(ctx, "cannot look for half-made Postgres clusters", "error", err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), buildPrefix) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		err := os.RemoveAll(path)
		for begun := time.Now(); err != nil && time.Since(begun) < leftoverTimeout && sleep(ctx, pollInterval); {
			err = os.RemoveAll(path)
		}
		if err != nil {
			log.WarnContext(ctx, "a half-made Postgres cluster is left", "error", err)
		}
	}
}

// writeAccess lets in, over the socket, root and the account, both as the cluster's
// superuser, and nobody else. The kernel names the caller (peer), so there is no
// password to keep.
func writeAccess(cluster string, a account) error {
	quote := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	files := map[string]string{
		"pg_hba.conf": "local all " + superuser + " peer map=own\n",
		"pg_ident.conf": "own " + quote(userName(0)) + " " + superuser + "\n" +
			"own " + quote(a.name) + " " + superuser + "\n",
	}
	// The folder belongs to another user by now: as root, follow no link out of it.
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

// syncPath makes a folder's entries, or a file's content, safe against a power cut.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
