package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/waypost/waypost"
	// fastJSON decodes events: each is decoded by all who read the log.
	fastJSON = "github.com/segmentio/encoding/json"
)

// listedPackage is what `go list` tells of a package.
type listedPackage struct {
	Dir        string
	ImportPath string
	Imports    []string // those of its tests are not among them
	GoFiles    []string
}

// layer says what the packages of one folder may import. Paths within the module
// are given without it; "std" is the standard library, "others" any library that
// is not confined. A path stands for what is below it, too.
type layer struct {
	folder string
	may    []string
	why    string
}

// layers are tried in order; the first whose folder fits decides.
var layers = []layer{
	{
		folder: "domain",
		may:    []string{"std", "domain", "github.com/google/uuid", "github.com/nyaruka/phonenumbers", fastJSON},
		why:    "decisions and folds must come out the same when they are made again from the log",
	},
	{
		folder: "app/query",
		may:    []string{"std", "domain", "app/query", "app/event", "github.com/google/uuid"}, // views stand at positions of the log
		why:    "reading never decides: the read side stands without the write side",
	},
	{
		folder: "app",
		may:    []string{"std", "domain", "app", "github.com/google/uuid", fastJSON},
		why:    "use cases say what they need by interfaces of their own; adapters depend on them, not the other way round",
	},
	{
		folder: "ports",
		may:    []string{"std", "domain", "app", "others"},
		why:    "what drives the application must not know what it is built on",
	},
	{
		folder: "graph",
		may:    []string{"std", "domain", "app", "graph", "others"},
		why:    "what drives the application must not know what it is built on",
	},
	{
		folder: "adapters/postgres",
		may:    []string{"std", "domain", "app", "migrations", "others"}, // it applies them
		why:    "an adapter is replaced by itself: it knows the application and its own driver, neither ports nor another adapter",
	},
	{
		folder: "adapters/broker",
		may:    []string{"std", "domain", "app", "migrations", "others"}, // the topics' tables on the user's Postgres
		why:    "an adapter is replaced by itself: it knows the application and its own driver, neither ports nor another adapter",
	},
	{
		folder: "adapters",
		may:    []string{"std", "domain", "app", "others"},
		why:    "an adapter is replaced by itself: it knows the application and its own driver, neither ports nor another adapter",
	},
	{
		folder: "cmd",
		may:    []string{"std", "domain", "app", "adapters", "ports", "graph", "migrations", "web", "cmd", "others"},
		why:    "cmd builds everything and nothing imports it",
	},
	{folder: "migrations", may: []string{"std"}, why: "it holds embedded files"},
	{folder: "web", may: []string{"std"}, why: "it holds embedded files"},
}

// confined are the libraries that only the named folders may import, so that
// replacing one is work in one place.
var confined = []struct {
	module  string
	folders []string
	why     string
}{
	{
		"github.com/EventStore/EventStore-Client-Go",
		[]string{"adapters/eventstore", "adapters/eventstored"},
		"one adapter hides which event store it is; the embedded server shares the messages of its protocol",
	},
	{
		"github.com/cockroachdb/pebble",
		[]string{"adapters/eventstored"},
		"how the embedded store keeps its data is its own affair",
	},
	{
		"github.com/jackc/pgx",
		[]string{"adapters/postgres", "adapters/privatepg", "adapters/vault", "adapters/broker", "adapters/hooks", "cmd"},
		"SQL stands where the tables are owned",
	},
	{
		"github.com/pressly/goose",
		[]string{"adapters/postgres", "adapters/vault", "adapters/broker", "cmd"},
		"schemas are changed where the tables are owned",
	},
	{
		"github.com/ThreeDotsLabs/watermill",
		[]string{"ports/dispatch", "ports/ingest", "ports/egress", "adapters/broker", "cmd"},
		"messaging is a detail of dispatching and of the broker at the edge",
	},
	{
		"github.com/99designs/gqlgen",
		[]string{"graph", "cmd"},
		"ports/httpapi gets GraphQL as an http.Handler",
	},
	{
		"github.com/vektah/gqlparser",
		[]string{"graph", "cmd"},
		"ports/httpapi gets GraphQL as an http.Handler",
	},
	{
		"go.opentelemetry.io",
		[]string{"adapters/otlp"},
		"the application tells its spans in app/trace's words; one adapter knows how they leave",
	},
	{
		"github.com/alecthomas/kong",
		[]string{"cmd"},
		"flags and environment are read in one place",
	},
	{"testing", nil, "test code stays out of the program"},
	{"pgregory.net/rapid", nil, "test code stays out of the program"},
	{"go.uber.org/goleak", nil, "test code stays out of the program"},
	{"github.com/chromedp", nil, "test code stays out of the program"},
}

// impure are packages of the standard library that would bring I/O, a clock's
// waiting or chance into decisions.
var impure = []string{
	"crypto/rand", "database/sql", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec", "syscall",
}

// clockAndChance are the functions that make a decision depend on when and where it
// is made.
var clockAndChance = map[string][]string{
	"time":                   {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"github.com/google/uuid": {"New", "NewString", "NewRandom", "NewUUID", "NewV6", "NewV7"},
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		for _, path := range p.Imports {
			for _, reason := range violations(within(p.ImportPath), path) {
				t.Errorf("%s imports %s: %s", within(p.ImportPath), path, reason)
			}
		}
	}
}

func TestDomainAndAppHaveNoClockAndNoChance(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if name := within(p.ImportPath); (!under(name, "domain") && !under(name, "app")) || isTestSupport(name) {
			continue
		}
		for _, file := range p.GoFiles {
			for _, call := range callsOf(t, filepath.Join(p.Dir, file), clockAndChance) {
				t.Errorf("%s: time, ids and chance are passed in", call)
			}
		}
	}
}

// listPackages asks the go command for the packages of the module.
func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listedPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 2 {
		t.Fatalf("go list found %d packages", len(packages))
	}
	return packages
}

// violations tells why a package, named within the module, may not import a path.
// There is nothing to say if it may.
func violations(name, path string) (reasons []string) {
	if isTestSupport(name) {
		return nil // it may start whatever a test needs
	}
	rule, found := layerOf(name)
	if !found {
		return []string{"the importer belongs to no layer: put it into one, or add its folder to layers with the reason"}
	}
	var allowed bool
	switch {
	case isOwn(path):
		allowed = matches(rule.may, within(path)) || sameComponent(name, within(path))
	case isStandard(path):
		allowed = slices.Contains(rule.may, "std")
	default:
		allowed = slices.Contains(rule.may, "others") || matches(rule.may, path)
	}
	if !allowed {
		reasons = append(reasons, rule.why)
	}
	if under(name, "domain") && slices.Contains(impure, path) {
		reasons = append(reasons, rule.why)
	}
	if isOwn(path) && isTestSupport(path) {
		reasons = append(reasons, "test code stays out of the program")
	}
	own, other := aggregate(name), aggregate(within(path))
	if isOwn(path) && own != "" && other != "" && own != other && own != inbox {
		reasons = append(reasons, "one aggregate knows another by its id alone; what two share is in domain itself")
	}
	for _, c := range confined {
		if moduleIs(path, c.module) && !matches(c.folders, name) {
			reasons = append(reasons, c.why)
		}
	}
	return reasons
}

func layerOf(name string) (layer, bool) {
	i := slices.IndexFunc(layers, func(l layer) bool { return under(name, l.folder) })
	if i < 0 {
		return layer{}, false
	}
	return layers[i], true
}

// sameComponent reports whether two packages are of one adapter or one port: it has a
// folder with all that is below it.
func sameComponent(a, b string) bool {
	component := func(name string) string {
		if parts := strings.Split(name, "/"); len(parts) > 1 && (parts[0] == "adapters" || parts[0] == "ports") {
			return parts[0] + "/" + parts[1]
		}
		return ""
	}
	return component(a) != "" && component(a) == component(b)
}

// inbox is the package of what WhatsApp told: it is no aggregate, and a status
// that waits for its message is of the message's own kind.
const inbox = "inbound"

// aggregate returns the name of the aggregate that a package of the domain is about.
func aggregate(name string) string {
	if parts := strings.Split(name, "/"); len(parts) > 1 && parts[0] == "domain" {
		return parts[1]
	}
	return ""
}

// isTestSupport reports whether a package is there for tests, by its name. Only tests
// may import it.
func isTestSupport(name string) bool { return strings.HasSuffix(name, "test") }

func isOwn(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// within cuts the module off a path in it; the module's root becomes ".".
func within(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// isStandard reports whether a path is of the standard library: no dot in its first
// element.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func matches(folders []string, path string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return under(path, f) })
}

// moduleIs reports whether a path is of a library or of one named after it, like
// watermill and watermill-sql.
func moduleIs(path, module string) bool {
	return under(path, module) || !isStandard(module) && strings.HasPrefix(path, module+"-")
}

// callsOf finds uses of the given functions, by import path, in a file.
func callsOf(t *testing.T, file string, functions map[string][]string) (found []string) {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{} // by the name that the file gives to the package
	for _, imported := range parsed.Imports {
		path := strings.Trim(imported.Path.Value, `"`)
		name := path[strings.LastIndex(path, "/")+1:]
		if imported.Name != nil {
			name = imported.Name.Name
		}
		if wanted, ok := functions[path]; ok {
			names[name] = wanted
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && slices.Contains(names[x.Name], selector.Sel.Name) {
			found = append(found, files.Position(selector.Pos()).String()+": "+x.Name+"."+selector.Sel.Name)
		}
		return true
	})
	return found
}

// The rules are only as good as their reading: hold it against cases that are known.
func TestReadingOfTheRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		importer, path string
		wrong          bool
	}{
		{"domain/message", module + "/domain", false},
		{"domain/message", module + "/app/command", true},
		{"domain/message", "github.com/jackc/pgx/v5", true},
		{"domain/message", "github.com/google/uuid", false},
		{"app/command", module + "/domain/message", false},
		{"app/command", module + "/adapters/postgres", true},
		{"app/query", module + "/app/command", true},
		{"domain/message", module + "/domain/sender", true},
		{"domain/inbound", module + "/domain/message", false},
		{"domain/message", module + "/domain/inbound", true},
		{"app/query", module + "/app/event", false},
		{"adapters/postgres", module + "/migrations", false},
		{"adapters/vault", module + "/migrations", true},
		{"domain", "net/http", true},
		{"domain", "net/url", false},
		{"adapters/postgres", "net/http", false},
		{"somewhere", "fmt", true},
		{"adapters/eventstored", module + "/adapters/eventstored/store", false},
		{"adapters/eventstored/store", "github.com/cockroachdb/pebble/v2", false},
		{"adapters/postgres", "github.com/cockroachdb/pebble/v2", true},
		{"adapters/postgres", module + "/adapters/privatepg", true},
		{"adapters/postgres", module + "/ports/dispatch", true},
		{"adapters/postgres/postgrestest", module + "/adapters/privatepg", false},
		{"adapters/broker", "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql", false},
		{"ports/httpapi", "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql", true},
		{"ports/httpapi", module + "/adapters/whatsapp", true},
		{"ports/httpapi", module + "/ports/dispatch", true},
		{"ports/httpapi", "github.com/99designs/gqlgen/graphql", true},
		{"graph", "github.com/99designs/gqlgen/graphql", false},
		{"cmd/waypost", module + "/adapters/postgres", false},
		{"cmd/waypost", module + "/adapters/postgres/postgrestest", true},
		{"cmd/waypost", "testing", true},
	} {
		if reasons := violations(c.importer, c.path); (len(reasons) > 0) != c.wrong {
			t.Errorf("%s importing %s: got %q, want it forbidden: %v", c.importer, c.path, reasons, c.wrong)
		}
	}
}
