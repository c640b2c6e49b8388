package main_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestProse checks everything that a person reads against the word list in
// testdata/prose-deny.txt. Each line there is a regular expression, and so is each line
// of testdata/prose-allow.txt, which lists the exceptions. An exception is matched
// against "path:line: sentence", as this test prints a hit.
func TestProse(t *testing.T) {
	t.Parallel()
	deny := regexp.MustCompile(strings.ToLower(strings.Join(linesOf(t, "prose-deny.txt"), "|")))
	var allow []*regexp.Regexp
	for _, line := range linesOf(t, "prose-allow.txt") {
		allow = append(allow, regexp.MustCompile(line))
	}
	matched := map[*regexp.Regexp]bool{}
	for _, h := range findPhrases(t, deny) {
		exception := slices.IndexFunc(allow, func(r *regexp.Regexp) bool { return r.MatchString(h.String()) })
		if exception >= 0 {
			matched[allow[exception]] = true
			continue
		}
		t.Errorf("%s\n\tThe word list contains %q: rewrite the sentence, or add an exception to prose-allow.txt.", h, h.phrase)
	}
	for _, exception := range allow {
		if !matched[exception] {
			t.Errorf("prose-allow.txt: %s matches no hit: remove it", exception)
		}
	}
}

// A passage is text that a reader sees as one: a comment block, a string, a paragraph.
type passage struct {
	line int    // its first line in the file
	text string // may contain newlines
}

// A hit is a sentence that contains a phrase of the word list.
type hit struct {
	path     string
	line     int
	sentence string
	phrase   string
}

func (h hit) String() string { return fmt.Sprintf("%s:%d: %s", h.path, h.line, h.sentence) }

// linesOf returns the lines of a file in testdata without blank lines and comments.
func linesOf(t *testing.T, name string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\n"); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// findPhrases returns the hits in all files of the repository, ordered by path and line.
func findPhrases(t *testing.T, deny *regexp.Regexp) []hit {
	t.Helper()
	files, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "ls-files", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	byFile := make([][]hit, bytes.Count(files, []byte("\n")))
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, name := range strings.Fields(string(files)) {
		extract := extractor(name)
		if extract == nil {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			source, err := os.ReadFile(filepath.Join("../..", name))
			if os.IsNotExist(err) {
				return // deleted, but not yet in the index
			}
			if err != nil {
				t.Error(err)
				return
			}
			for _, p := range extract(t, source) {
				byFile[i] = append(byFile[i], p.search(name, deny)...)
			}
		})
	}
	group.Wait()
	return slices.Concat(byFile...)
}

// search returns the sentences of a passage that contain a phrase.
func (p passage) search(name string, deny *regexp.Regexp) (hits []hit) {
	text := strings.ReplaceAll(p.text, "\n", " ")
	for _, at := range deny.FindAllStringIndex(lower(text), -1) {
		from := strings.LastIndex(text[:at[0]+1], ". ") + 1
		to := len(text)
		if end := strings.Index(text[at[1]:], ". "); end >= 0 {
			to = at[1] + end + 1
		}
		hits = append(hits, hit{
			path:     name,
			line:     p.line + strings.Count(p.text[:at[0]], "\n"),
			sentence: strings.TrimSpace(text[from:to]),
			phrase:   text[at[0]:at[1]],
		})
	}
	return hits
}

// lower maps A to Z to lower case and keeps every offset.
func lower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// extractor returns the function that finds the passages of a file, or nil if the file
// is generated, is test data, or contains no prose.
func extractor(name string) func(*testing.T, []byte) []passage {
	switch {
	case strings.Contains(name, "testdata/"), strings.HasPrefix(name, "web/page/"), strings.HasPrefix(name, "web/playground/"),
		name == "docs/events.md", path.Base(name) == "operations.ts":
		return nil
	}
	switch path.Ext(name) {
	case ".go":
		return goPassages
	case ".md":
		return markdownPassages
	case ".graphqls":
		return patternPassages(`"""(?s:.*?)"""|"[^"\n]*"|(?:[ \t]*#[^\n]*\n?)+`)
	case ".ts", ".mjs", ".css":
		return patternPassages(`(?:[ \t]*//[^\n]*\n?)+|/\*(?s:.*?)\*/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|` + "`(?s:[^`\\\\]|\\\\.)*`")
	case ".sql":
		return blockPassages("--", false)
	case ".yml", ".yaml", ".csv", ".service":
		return blockPassages("#", true)
	}
	switch dir, base := path.Split(name); {
	case base == "Makefile", base == "Dockerfile", dir == ".ci/", dir == "web/app/" && (base == "build" || base == "install"):
		return blockPassages("#", true)
	}
	return nil
}

// goPassages returns the comment blocks of a Go file and its strings of three words or
// more. A concatenation is one string.
func goPassages(t *testing.T, source []byte) (passages []passage) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return nil
	}
	if ast.IsGenerated(file) {
		return nil
	}
	for _, block := range file.Comments {
		var text []string
		for _, comment := range block.List {
			text = append(text, strings.Trim(comment.Text, "/* \t"))
		}
		passages = append(passages, passage{files.Position(block.Pos()).Line, strings.Join(text, "\n")})
	}
	ast.Inspect(file, func(node ast.Node) bool {
		expression, ok := node.(ast.Expr)
		if !ok {
			return true
		}
		text, ok := literal(expression)
		if ok && strings.Count(text, " ") >= 2 {
			passages = append(passages, passage{files.Position(expression.Pos()).Line, text})
		}
		return !ok
	})
	return passages
}

// literal returns the text of a string literal or of a concatenation that contains one.
// Operands that are not literals become "…".
func literal(expression ast.Expr) (string, bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, ok := literal(e.X)
		right, also := literal(e.Y)
		if e.Op != token.ADD || !ok && !also {
			return "", false
		}
		if !ok {
			left = "…"
		}
		if !also {
			right = "…"
		}
		return left + right, true
	}
	return "", false
}

// markdownPassages returns the paragraphs outside code fences. Each
// table row, list item, and heading is also a paragraph.
func markdownPassages(_ *testing.T, source []byte) (passages []passage) {
	inside := false // of a code fence
	begins := regexp.MustCompile(`^\s*([-*|#>]|\d+\.)`)
	next := true
	for i, line := range strings.Split(string(source), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside, next = !inside, true
			continue
		}
		switch {
		case inside:
		case strings.TrimSpace(line) == "":
			next = true
		case next || begins.MatchString(line):
			passages = append(passages, passage{i + 1, line})
			next = false
		default:
			passages[len(passages)-1].text += "\n" + line
		}
	}
	return passages
}

// patternPassages returns a function that finds comments and strings with a regular
// expression. Strings need three words or more.
func patternPassages(pattern string) func(*testing.T, []byte) []passage {
	tokens := regexp.MustCompile(pattern)
	marks := regexp.MustCompile(`(?m)^[ \t]*(//|#|\*|/\*)+ ?`)
	return func(_ *testing.T, source []byte) (passages []passage) {
		for _, at := range tokens.FindAllIndex(source, -1) {
			text := string(source[at[0]:at[1]])
			if strings.Count(text, " ") < 2 {
				continue
			}
			text = strings.Trim(marks.ReplaceAllString(text, ""), "\"'`")
			passages = append(passages, passage{1 + bytes.Count(source[:at[0]], []byte("\n")), text})
		}
		return passages
	}
}

// blockPassages returns a function that joins the lines of a comment block. The other
// lines, if wanted, are passages of their own.
func blockPassages(mark string, others bool) func(*testing.T, []byte) []passage {
	return func(_ *testing.T, source []byte) (passages []passage) {
		joins := false
		for i, line := range strings.Split(string(source), "\n") {
			before, comment, found := strings.Cut(line, mark)
			whole := found && strings.TrimSpace(before) == ""
			comment = strings.TrimSpace(comment)
			switch {
			case whole && joins:
				passages[len(passages)-1].text += "\n" + comment
			case whole:
				passages = append(passages, passage{i + 1, comment})
			case others:
				passages = append(passages, passage{i + 1, line})
			case found:
				passages = append(passages, passage{i + 1, comment})
			}
			joins = whole
		}
		return passages
	}
}
