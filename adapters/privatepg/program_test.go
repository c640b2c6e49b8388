package privatepg_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/privatepg"
)

// install creates a directory that looks like an installed Postgres of a version.
func install(t *testing.T, version string) (dir string) {
	t.Helper()
	dir = openDir(t)
	for _, name := range []string{"postgres", "initdb"} {
		script := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s'\n", name, version)
		writeExecutable(t, filepath.Join(dir, name), []byte(script))
	}
	return dir
}

func TestWhichPostgresIsUsed(t *testing.T) {
	t.Parallel()
	v13, v14, v16, v17, v18 := install(t, "13.9"), install(t, "14.20 (Debian 14.20-1)"), install(t, "16.4"), install(t, "17.1"), install(t, "18beta2")
	none := t.TempDir()
	for name, c := range map[string]struct {
		path, homes []string
		data        int // version of the existing data
		want        string
		err         error
	}{
		"the first on the path":                 {path: []string{none, v14, v18}, homes: []string{v17}, want: v14},
		"the newest elsewhere":                  {path: []string{none}, homes: []string{v14, v17, v16}, want: v17},
		"one that is too old is skipped":        {path: []string{v13}, homes: []string{v14}, want: v14},
		"existing data decides":                 {path: []string{v14}, homes: []string{v17, v16}, data: 16, want: v16},
		"a version before its release":          {homes: []string{v18}, want: v18},
		"none at all":                           {path: []string{none}, err: privatepg.ErrNoBinaries},
		"only one that is too old":              {path: []string{v13}, err: privatepg.ErrNoBinaries},
		"not the version that created the data": {path: []string{v14}, homes: []string{v17}, data: 16, err: privatepg.ErrVersion},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := privatepg.FindProgram(t.Context(), c.path, c.homes, c.data)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %q and %v, want %q and %v", got, err, c.want, c.err)
			}
			if err != nil && !strings.Contains(err.Error(), "install") {
				t.Errorf("no remedy in %q", err)
			}
		})
	}
}

// Debian does not link the binaries into PATH, but users do.
func TestLinkOnThePathLeadsToTheBinaries(t *testing.T) {
	t.Parallel()
	installed, linked := install(t, "17.1"), openDir(t)
	must(t, os.Symlink(filepath.Join(installed, "postgres"), filepath.Join(linked, "postgres")))
	got, err := privatepg.FindProgram(t.Context(), []string{linked}, nil, 0)
	if err != nil || got != installed {
		t.Errorf("got %q and %v, want %q", got, err, installed)
	}
}

func TestDataOfAVersionThatTheMachineLacks(t *testing.T) {
	t.Parallel()
	dir := existing(t)
	must(t, os.WriteFile(filepath.Join(dir, "cluster", "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := privatepg.Start(t.Context(), privatepg.Options{DataDir: dir})
	if !errors.Is(err, privatepg.ErrVersion) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want ErrVersion on one line", err)
	}
}

func TestMajorVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)": 15,
		"postgres (PostgreSQL) 14.2":                           14,
		"postgres (PostgreSQL) 18beta1":                        18,
		"postgres (PostgreSQL) 19devel":                        19,
	} {
		if got, err := privatepg.MajorVersion(text); err != nil || got != want {
			t.Errorf("%s: got %d and %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "postgres", "mysqld 8.0", "postgres (PostgreSQL) "} {
		if got, err := privatepg.MajorVersion(text); err == nil {
			t.Errorf("%q was parsed as %d", text, got)
		}
	}
}

func TestLastComplaint(t *testing.T) {
	t.Parallel()
	for want, lines := range map[string][]string{
		"": nil,
		"could not write file: No space left on device": {
			"FATAL:  could not write file: No space left on device",
			"child process exited with exit code 1",
			"initdb: removing contents of data directory",
		},
		`directory "x" exists but is not empty`: {`initdb: error: directory "x" exists but is not empty`},
		"something else":                        {"LOG:  starting", "something else"},
	} {
		if got := privatepg.LastComplaint(lines); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLinesDoNotDependOnHowTheyArrive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching(`[a-z:]{1,40}`), 0, 30).Draw(t, "lines")
		text := strings.Join(append(lines, ""), "\n")
		var w privatepg.Tail
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
			if got, err := w.Write([]byte(rest[:n])); got != n || err != nil {
				t.Fatalf("wrote %d of %d: %v", got, n, err)
			}
			rest = rest[n:]
		}
		if got := w.Lines(); !slices.Equal(got, lines) {
			t.Fatalf("got %q, want %q", got, lines)
		}
	})
}
