package privatepg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// oldestVersion is the oldest major version that the platform's SQL is
	// written for.
	oldestVersion = 14

	// versionTimeout bounds `postgres --version`, which takes 10 ms.
	versionTimeout = 10 * time.Second
)

// program is an installed Postgres.
type program struct {
	dir     string // of its binaries
	version int    // major
}

func (p program) path(name string) string { return filepath.Join(p.dir, name) }

// command prepares one of the program's binaries to run as the account. Nothing of
// the own environment reaches it: settings there (PGDATA, PGOPTIONS) would
// change what it does, and secrets do not belong there.
func (p program) command(a account, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(p.path(name), args...) //nolint:noctx // run bounds the short ones, and the server outlives its start
	cmd.Env = []string{"PATH=" + p.dir + ":/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.Dir = "/"
	a.apply(cmd)
	return cmd
}

// places are the folders where Postgres's binaries may be: those of PATH and, for
// packages that leave them out of PATH, the homes these give to each version.
type places struct{ path, homes []string }

// usualPlaces are PATH and the homes of Debian, Red Hat, Alpine, Homebrew and
// Postgres.app.
func usualPlaces() places {
	p := places{path: filepath.SplitList(os.Getenv("PATH"))}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/usr/libexec/postgresql*",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		p.homes = append(p.homes, found...)
	}
	return p
}

// findProgram returns the Postgres to use: the first on the path, else the newest
// elsewhere. If the data is of a certain version, only that version will do.
func findProgram(ctx context.Context, in places, a account, version int) (program, error) {
	var found []program
	look := func(dirs []string) {
		for _, dir := range dirs {
			p, err := inspect(ctx, dir, a)
			if err == nil && p.version >= oldestVersion && !slices.Contains(found, p) {
				found = append(found, p)
			}
		}
	}
	look(in.path)
	first := len(found)
	look(in.homes)
	slices.SortStableFunc(found[first:], func(a, b program) int { return b.version - a.version })

	if err := ctx.Err(); err != nil {
		return program{}, err
	}
	if len(found) == 0 {
		return program{}, fmt.Errorf("%w (looked for initdb and postgres, version %d or newer, in PATH and where packages put them); install it: %s",
			ErrNoBinaries, oldestVersion, installHint(version))
	}
	if version == 0 {
		return found[0], nil
	}
	var versions []string
	for _, p := range found {
		if p.version == version {
			return p, nil
		}
		versions = append(versions, strconv.Itoa(p.version))
	}
	return program{}, fmt.Errorf("%w: it was made by Postgres %d, the machine has %s; install that version (%s), or restore a backup into another data directory",
		ErrVersion, version, strings.Join(versions, ", "), installHint(version))
}

// inspect tells what Postgres a folder holds, if any. A link in a folder of the
// path stands for the place it leads to.
func inspect(ctx context.Context, dir string, a account) (program, error) {
	path, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return program{}, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return program{}, err
	}
	p := program{dir: filepath.Dir(path)}
	if _, err := os.Stat(p.path("initdb")); err != nil {
		return program{}, err
	}
	out, err := p.run(ctx, versionTimeout, p.command(a, "postgres", "--version"))
	if err != nil {
		return program{}, err
	}
	p.version, err = majorVersion(strings.Join(out, " "))
	return p, err
}

var versionNumber = regexp.MustCompile(`\d+`)

// majorVersion reads the version of "postgres (PostgreSQL) 15.18 (Debian …)".
func majorVersion(s string) (int, error) {
	_, rest, found := strings.Cut(s, "(PostgreSQL) ")
	number := versionNumber.FindString(rest)
	if !found || number == "" {
		return 0, fmt.Errorf("%q names no version of Postgres", s)
	}
	return strconv.Atoi(number)
}

// dataVersion returns the major version that made the cluster, 0 if there is none.
func dataVersion(cluster string) (int, error) {
	if _, err := os.Stat(cluster); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	text, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if err != nil {
		return 0, fmt.Errorf("%s is no Postgres cluster: %w; move it away or restore it from a backup", cluster, err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION is damaged: %w; restore the folder from a backup", cluster, err)
	}
	return version, nil
}

// run runs a short command to its end and returns the lines it wrote.
func (p program) run(ctx context.Context, limit time.Duration, cmd *exec.Cmd) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	proc, err := launch(cmd, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	select {
	case <-proc.exited:
		return out.lines(), proc.err
	case <-ctx.Done():
		proc.signal(syscall.SIGKILL)
		<-proc.exited
		return out.lines(), context.Cause(ctx)
	}
}

// Installed answers where the Postgres stands that a new private cluster would run,
// and its major version. Without one the error says how to install it.
func Installed(ctx context.Context) (dir string, version int, err error) {
	p, err := findProgram(ctx, usualPlaces(), account{}, 0)
	return p.dir, p.version, err
}
