package main_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// describing lists the documents that describe the code. Everything that they name in
// backticks must exist.
var describing = []string{"docs/architecture.md", "docs/decisions/*.md", ".github/CONTRIBUTING.md"}

// TestDocsNameWhatExists checks the paths, Go identifiers, tests, and make targets in the
// documents that describe the code.
func TestDocsNameWhatExists(t *testing.T) {
	t.Parallel()
	repo := openRepository(t)
	for _, name := range repo.match(describing...) {
		skip := false // the lines of a code fence, unless it is a diagram
		for i, line := range strings.Split(repo.text(t, name), "\n") {
			if fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
				skip = fence != "" && fence != "mermaid"
			}
			if skip {
				continue
			}
			for _, what := range named(line) {
				if err := repo.check(what); err != nil {
					t.Errorf("%s:%d: %v", name, i+1, err)
				}
			}
		}
	}
}

// TestDocsLinkToWhatExists checks the relative links of all Markdown files, with the
// headings that they point to.
func TestDocsLinkToWhatExists(t *testing.T) {
	t.Parallel()
	repo := openRepository(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, name := range repo.match("*.md", "docs/*.md", "docs/*/*.md", ".github/*.md") {
		for _, m := range link.FindAllStringSubmatch(repo.text(t, name), -1) {
			target, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if !repo.paths[file] {
				t.Errorf("%s: %s does not exist", name, m[1])
			} else if heading != "" && !slices.Contains(headings(repo.text(t, file)), heading) {
				t.Errorf("%s: %s has no such heading", name, m[1])
			}
		}
	}
}

// named returns the code spans of a line, except files that a recipe creates, and the
// paths in a line of a diagram.
func named(line string) (names []string) {
	spans := regexp.MustCompile("`([^`]+)`( \\((?:new|generated)\\))?").FindAllStringSubmatch(line, -1)
	for _, m := range spans {
		if m[2] == "" {
			names = append(names, m[1])
		}
	}
	if len(spans) > 0 {
		return names
	}
	return regexp.MustCompile(`\b(domain|app|ports|adapters|graph|cmd|web|migrations|docs)/[\w./-]*\w`).FindAllString(line, -1)
}

// headings returns the anchors of a document's headings, as GitHub derives them.
func headings(text string) (anchors []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		anchor := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}

// repository is what documents can name.
type repository struct {
	paths map[string]bool // of files and directories
	// identifiers are the exported ones, as pkg.Name and pkg.Type.Name, and the names of
	// tests and examples.
	identifiers map[string]bool
	targets     map[string]bool // of the Makefile
}

func openRepository(t *testing.T) *repository {
	t.Helper()
	files, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "ls-files", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	r := &repository{paths: map[string]bool{}, identifiers: map[string]bool{}, targets: map[string]bool{}}
	for name := range strings.FieldsSeq(string(files)) {
		if _, err := os.Stat(filepath.Join("../..", name)); os.IsNotExist(err) {
			continue // deleted, but not yet in the index
		}
		for p := name; p != "."; p = path.Dir(p) {
			r.paths[p] = true
		}
		if path.Ext(name) == ".go" {
			r.addIdentifiers(t, name)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(r.text(t, "Makefile"), -1) {
		r.targets[m[1]] = true
	}
	return r
}

// match returns the files that match one of the patterns.
func (r *repository) match(patterns ...string) (names []string) {
	for name := range r.paths {
		if slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r *repository) text(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// addIdentifiers adds the declarations of a Go file.
func (r *repository) addIdentifiers(t *testing.T, name string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", name), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	pkg := file.Name.Name
	r.identifiers[pkg] = true
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			switch {
			case strings.HasSuffix(name, "_test.go"):
				r.identifiers[d.Name.Name] = true
			case d.Recv == nil:
				r.identifiers[pkg+"."+d.Name.Name] = true
			default:
				r.identifiers[pkg+"."+receiver(d)+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				r.addSpec(pkg, spec)
			}
		}
	}
}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	name := ""
	ast.Inspect(d.Recv.List[0].Type, func(node ast.Node) bool {
		if id, ok := node.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return name == ""
	})
	return name
}

func (r *repository) addSpec(pkg string, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, id := range spec.Names {
			r.identifiers[pkg+"."+id.Name] = true
		}
	case *ast.TypeSpec:
		r.identifiers[pkg+"."+spec.Name.Name] = true
		var members *ast.FieldList
		switch typ := spec.Type.(type) {
		case *ast.StructType:
			members = typ.Fields
		case *ast.InterfaceType:
			members = typ.Methods
		default:
			return
		}
		for _, m := range members.List {
			for _, id := range m.Names {
				r.identifiers[pkg+"."+spec.Name.Name+"."+id.Name] = true
			}
		}
	}
}

var (
	// aPath is a path in the repository: it has a slash and does not start with one, or it
	// ends like the name of a file here.
	aPath = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+/?$|^[\w.-]+\.(md|go|sql|csv|graphqls|yml|ts|service|json|mod)$`)
	// anIdentifier is an identifier of a package: pkg.Name or pkg.Type.Name.
	anIdentifier = regexp.MustCompile(`^[a-z]\w*(\.[A-Z]\w*)+$`)
	aTest        = regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)[A-Z_]\w*$`)
	aTarget      = regexp.MustCompile(`^make ([a-z-]+)`)
)

// check returns an error if a document names something of the repository that does not
// exist. Anything else, such as a command or a setting, is not checked.
func (r *repository) check(what string) error {
	switch {
	case strings.HasPrefix(what, "github.com/"), strings.HasPrefix(what, "golang.org/"):
	case aPath.MatchString(what):
		if !r.paths[strings.TrimSuffix(what, "/")] {
			return fmt.Errorf("%s does not exist; a path begins at the root of the repository", what)
		}
	case anIdentifier.MatchString(what), aTest.MatchString(what):
		if !r.identifiers[what] {
			return fmt.Errorf("%s is not declared", what)
		}
	case aTarget.MatchString(what):
		if target := aTarget.FindStringSubmatch(what)[1]; !r.targets[target] {
			return fmt.Errorf("the Makefile has no target %s", target)
		}
	}
	return nil
}
