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
	// oldestVersion is the oldest major version that Waypost's SQL is written for.
	oldestVersion = 14

	// versionTimeout limits `postgres --version`, which takes 10 ms.
	versionTimeout = 10 * time.Second
)

// program is an installed Postgres.
type program struct {
	dir     string // of its binaries
	version int    // major
}

func (p program) path(name string) string { return filepath.Join(p.dir, name) }

// command returns a command that runs one of the program's binaries as the account. It
// inherits nothing from Waypost's environment: settings there (PGDATA, PGOPTIONS) would
// change its behavior, and secrets do not belong there.
func (p program) command(a account, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(p.path(name), args...) //nolint:noctx // run bounds the short ones, and the server outlives its start
	cmd.Env = []string{"PATH=" + p.dir + ":/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.Dir = "/"
	a.apply(cmd)
	return cmd
}

// places are the directories that can contain Postgres's binaries: those in PATH and,
// for packages that are not in PATH, the directories of their versions.
type places struct{ path, homes []string }

// usualPlaces returns PATH and the directories of Debian, Red Hat, Alpine, Homebrew,
// and Postgres.app.
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

// findProgram returns the Postgres to use: the first one in PATH, or else the newest
// one elsewhere. If existing data requires a version, only that version is used.
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
		return program{}, fmt.Errorf("%w (looked for initdb and postgres, version %d or newer, in PATH and in the directories of packages); install it: %s",
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
	return program{}, fmt.Errorf("%w: it was created by Postgres %d, but the machine has %s; install that version (%s), or restore a backup into another data directory",
		ErrVersion, version, strings.Join(versions, ", "), installHint(version))
}

// inspect returns the Postgres in a directory, if there is one. Links in the path are
// resolved.
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

// majorVersion parses the version in "postgres (PostgreSQL) 15.18 (Debian …)".
func majorVersion(s string) (int, error) {
	_, rest, found := strings.Cut(s, "(PostgreSQL) ")
	number := versionNumber.FindString(rest)
	if !found || number == "" {
		return 0, fmt.Errorf("%q contains no Postgres version", s)
	}
	return strconv.Atoi(number)
}

// dataVersion returns the major version that created the cluster, or 0 if there is
// none.
func dataVersion(cluster string) (int, error) {
	if _, err := os.Stat(cluster); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	text, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if err != nil {
		return 0, fmt.Errorf("%s is not a Postgres cluster: %w; move it away or restore it from a backup", cluster, err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION is damaged: %w; restore the directory from a backup", cluster, err)
	}
	return version, nil
}

// run runs a short command to its end and returns the lines that it wrote.
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

// Installed returns the directory and the major version of the Postgres that a new
// private cluster would run. If there is none, the error tells the operator how to
// install it.
func Installed(ctx context.Context) (dir string, version int, err error) {
	p, err := findProgram(ctx, usualPlaces(), account{}, 0)
	return p.dir, p.version, err
}
