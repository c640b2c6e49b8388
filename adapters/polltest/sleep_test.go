package polltest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoTestSleeps checks that tests sleep in virtual time only: time.Sleep is allowed in
// packages whose tests use testing/synctest, and in this package.
func TestNoTestSleeps(t *testing.T) {
	t.Parallel()
	sleeps := map[string][]string{} // where a package's tests sleep, by directory
	virtual := map[string]bool{"adapters/polltest": true}
	for path, file := range testFiles(t, "../..") {
		dir := filepath.ToSlash(filepath.Dir(path))
		for _, imported := range file.parsed.Imports {
			if imported.Path.Value == `"testing/synctest"` {
				virtual[dir] = true
			}
		}
		ast.Inspect(file.parsed, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					sleeps[dir] = append(sleeps[dir], file.set.Position(s.Pos()).String())
				}
			}
			return true
		})
	}
	for dir, at := range sleeps {
		if !virtual[dir] {
			t.Errorf("wait for a signal, use testing/synctest, or poll with this package instead of time.Sleep:\n%s", strings.Join(at, "\n"))
		}
	}
}

type testFile struct {
	set    *token.FileSet
	parsed *ast.File
}

// testFiles returns the files of test code below root by their path relative to it.
func testFiles(t *testing.T, root string) map[string]testFile {
	t.Helper()
	found := map[string]testFile{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"),
			!strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(filepath.Dir(path), "test"):
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		found[relative] = testFile{set, parsed}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 100 {
		t.Fatalf("only %d files of test code were found below %s", len(found), root)
	}
	return found
}
