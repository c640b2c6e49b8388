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
	// fastJSON decodes events, which every reader of the log does for every event.
	fastJSON = "github.com/segmentio/encoding/json"
	// lruCache bounds caches. A key of an erased recipient is removed immediately.
	lruCache = "github.com/hashicorp/golang-lru/v2"
)

// listedPackage describes a package as `go list` does.
type listedPackage struct {
	Dir        string
	ImportPath string
	Imports    []string // without those of its tests
	GoFiles    []string
}

// A layer defines what the packages of one directory can import. Paths in the module omit its path. "std" is the standard library, and
// "others" any library that is not confined. A path includes everything below it.
type layer struct {
	dir string
	may []string
	why string
}

// oneWay is the rule of the packages behind the commands.
const oneWay = "imports behind the commands go one way: commands, then what they run, then platform; none imports the tests of the whole program"

// layers are tried in order. The first one whose directory matches applies.
var layers = []layer{
	{
		dir: "domain",
		may: []string{"std", "domain", "github.com/google/uuid", "github.com/nyaruka/phonenumbers", fastJSON},
		why: "decisions and folds must be the same when they are repeated from the log",
	},
	{
		dir: "app/query",
		may: []string{"std", "domain", "app/query", "app/event", "github.com/google/uuid"}, // views stand at positions of the log
		why: "reading never decides: the read side does not need the write side",
	},
	{
		dir: "app/retry",
		may: []string{"std"},
		why: "every layer above the domain waits with it",
	},
	{
		dir: "app/repository",
		may: []string{"std", "domain", "app/event", "app/retry", "github.com/google/uuid", lruCache, "golang.org/x/sync"},
		why: "a repository loads and appends; it doesn't know which commands use it",
	},
	{
		dir: "app/bulk",
		may: []string{"std", "domain", "app/event", "app/repository", "app/retry", "github.com/google/uuid"},
		why: "a bulk operation is a process of its own on top of the repositories",
	},
	{
		dir: "app/command",
		may: []string{
			"std", "domain", "app/event", "app/fair", "app/repository", "app/retry", "app/trace", "app/webhook", "github.com/google/uuid",
			lruCache,
		},
		why: "writing decides on streams, never on read models",
	},
	{
		dir: "app",
		may: []string{"std", "domain", "app", "github.com/google/uuid", fastJSON, lruCache, "golang.org/x/sync"},
		why: "use cases define what they need in interfaces; adapters depend on them, not the other way around",
	},
	{
		dir: "ports",
		may: []string{"std", "domain", "app", "others"},
		why: "what drives the application must not know what it is built on",
	},
	{
		dir: "graph",
		may: []string{"std", "domain", "app", "graph", "others"},
		why: "what drives the application must not know what it is built on",
	},
	{
		dir: "adapters/postgres",
		may: []string{"std", "domain", "app", "migrations", "others"}, // it applies them
		why: "an adapter can be replaced on its own: it knows the application and its own driver, but neither ports nor another adapter",
	},
	{
		dir: "adapters/broker",
		may: []string{"std", "domain", "app", "migrations", "others"}, // the topics' tables on the user's Postgres
		why: "an adapter can be replaced on its own: it knows the application and its own driver, but neither ports nor another adapter",
	},
	{
		dir: "adapters/eventstore",
		may: []string{"std", "domain", "app", "adapters/datadir", "adapters/eventstored/store", "others"}, // one log, over the network or in process
		why: "an event log knows the engine of the embedded store, but not the server that makes it an EventStoreDB",
	},
	{
		dir: "adapters",
		may: []string{"std", "domain", "app", "adapters/datadir", "others"}, // that is the operating system's, and replaces nothing
		why: "an adapter can be replaced on its own: it knows the application and its own driver, but neither ports nor another adapter",
	},
	{dir: "cmd/waypost/internal/terminal", may: []string{"std"}, why: oneWay},
	{dir: "cmd/waypost/internal/apiclient", may: []string{"std"}, why: oneWay},
	{
		dir: "cmd/waypost/internal/send",
		may: []string{"std", "app/retry", "cmd/waypost/internal/apiclient", "cmd/waypost/internal/terminal", "others"},
		why: oneWay,
	},
	{
		dir: "cmd/waypost/internal/platform",
		may: []string{"std", "domain", "app", "adapters", "ports", "graph", "migrations", "web", "cmd/waypost/internal/terminal", "others"},
		why: oneWay,
	},
	{
		dir: "cmd/waypost/internal/backup",
		may: []string{"std", "adapters", "cmd/waypost/internal/platform", "others"},
		why: oneWay,
	},
	{
		dir: "cmd/waypost/internal/doctor",
		may: []string{"std", "app", "adapters", "cmd/waypost/internal/platform", "cmd/waypost/internal/terminal", "others"},
		why: oneWay,
	},
	{
		dir: "cmd/waypost/internal/demo",
		may: []string{"std", "domain", "app", "adapters", "cmd/waypost/internal/platform", "others"},
		why: oneWay,
	},
	{
		dir: "cmd/waypost/internal/harness",
		may: []string{"std", "app/retry", "adapters", "graph", "cmd/waypost/internal/apiclient", "cmd/waypost/internal/platform", "others"},
		why: oneWay,
	},
	{
		dir: "cmd/waypost/internal/bench",
		may: []string{
			"std", "domain", "app", "adapters", "cmd/waypost/internal/apiclient", "cmd/waypost/internal/harness", "cmd/waypost/internal/platform", "others",
		},
		why: oneWay,
	},
	{
		dir: "cmd",
		may: []string{"std", "domain", "app", "adapters", "ports", "graph", "migrations", "web", "cmd", "others"},
		why: "cmd builds everything and nothing imports it",
	},
	{dir: "migrations", may: []string{"std"}, why: "it holds embedded files"},
	{dir: "web", may: []string{"std"}, why: "it holds embedded files"},
}

// rooms lists, for a package inside a component, the packages of the component that it
// may import. A package without an entry may import all of them.
var rooms = map[string][]string{
	"ports/dispatch/pace":      {},
	"ports/dispatch/ownership": {},
	"ports/dispatch/lane":      {"ports/dispatch/pace"},
	"ports/dispatch/feed":      {"ports/dispatch/lane"},
	"ports/dispatch/health":    {"ports/dispatch/lane"},
	"ports/dispatch/guard":     {},
	"ports/dispatch/attempt":   {"ports/dispatch/guard", "ports/dispatch/lane", "ports/dispatch/pace"},
}

// confined are the libraries that only some directories can import, so that a library can be replaced in one place.
var confined = []struct {
	module string
	dirs   []string
	why    string
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
		"SQL is written where the tables are owned",
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
		"github.com/prometheus",
		[]string{"adapters/prometheus"},
		"one adapter knows how metrics are exported",
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

// waits is the one package of the application that has timers of its own: it decides
// nothing.
const waits = "app/retry"

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
		name := within(p.ImportPath)
		if (!under(name, "domain") && !under(name, "app")) || under(name, waits) || isTestSupport(name) {
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

// violations returns the reasons why a package, named within the module, must not import a path. It returns none if it can.
func violations(name, path string) (reasons []string) {
	if isTestSupport(name) {
		return nil // it may start whatever a test needs
	}
	rule, found := layerOf(name)
	if !found {
		return []string{"the importer belongs to no layer: put it in one, or add its directory to layers with the reason"}
	}
	var allowed bool
	switch {
	case isOwn(path):
		allowed = matches(rule.may, within(path)) || sameComponent(name, within(path)) && roomAllows(name, within(path))
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
	if isOwn(path) && own != "" && other != "" && own != other && own != inbox && (own != templates || other != "message") {
		reasons = append(reasons, "one aggregate knows another by its id alone; what two share is in domain itself")
	}
	for _, c := range confined {
		if moduleIs(path, c.module) && !matches(c.dirs, name) {
			reasons = append(reasons, c.why)
		}
	}
	return reasons
}

func layerOf(name string) (layer, bool) {
	i := slices.IndexFunc(layers, func(l layer) bool { return under(name, l.dir) })
	if i < 0 {
		return layer{}, false
	}
	return layers[i], true
}

// sameComponent reports whether two packages belong to one adapter or one port, that is, to one directory and everything below it.
func sameComponent(a, b string) bool {
	component := func(name string) string {
		if parts := strings.Split(name, "/"); len(parts) > 1 && (parts[0] == "adapters" || parts[0] == "ports") {
			return parts[0] + "/" + parts[1]
		}
		return ""
	}
	return component(a) != "" && component(a) == component(b)
}

// roomAllows reports whether a package may import another one of its component.
func roomAllows(name, path string) bool {
	may, listed := rooms[name]
	return !listed || slices.Contains(may, path)
}

// inbox is the package of what WhatsApp reported. It is not an aggregate, and a status that waits for its message has the message's types.
const inbox = "inbound"

// templates is the package of message templates. A message is checked against its template.
const templates = "template"

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

func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func matches(dirs []string, path string) bool {
	return slices.ContainsFunc(dirs, func(f string) bool { return under(path, f) })
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

// The rules are only as good as their implementation, so it is tested with known cases.
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
		{"app/repository", module + "/app/command", true},
		{"app/bulk", module + "/app/repository", false},
		{"app/command", module + "/app/query", true},
		{"app/retry", module + "/app/event", true},
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
		{"adapters/eventstore", module + "/adapters/eventstored/store", false},
		{"adapters/eventstore", module + "/adapters/eventstored", true},
		{"adapters/eventstore", "github.com/cockroachdb/pebble/v2", true},
		{"adapters/eventstored", module + "/adapters/eventstore", true},
		{"adapters/postgres", "github.com/cockroachdb/pebble/v2", true},
		{"adapters/postgres", module + "/adapters/privatepg", true},
		{"adapters/privatepg", module + "/adapters/datadir", false},
		{"adapters/postgres", module + "/ports/dispatch", true},
		{"adapters/postgres/postgrestest", module + "/adapters/privatepg", false},
		{"adapters/broker", "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql", false},
		{"ports/httpapi", "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql", true},
		{"ports/httpapi", module + "/adapters/whatsapp", true},
		{"ports/httpapi", module + "/ports/dispatch", true},
		{"ports/dispatch", module + "/ports/dispatch/lane", false},
		{"ports/dispatch/feed", module + "/ports/dispatch/lane", false},
		{"ports/dispatch/lane", module + "/ports/dispatch/feed", true},
		{"ports/dispatch/feed", module + "/ports/dispatch/attempt", true},
		{"ports/httpapi", "github.com/99designs/gqlgen/graphql", true},
		{"graph", "github.com/99designs/gqlgen/graphql", false},
		{"cmd/waypost", module + "/adapters/postgres", false},
		{"cmd/waypost", module + "/adapters/postgres/postgrestest", true},
		{"cmd/waypost", "testing", true},
		{"cmd/waypost", module + "/cmd/waypost/internal/bench", false},
		{"cmd/waypost/internal/bench", module + "/cmd/waypost/internal/platform", false},
		{"cmd/waypost/internal/platform", module + "/cmd/waypost/internal/bench", true},
		{"cmd/waypost/internal/send", module + "/cmd/waypost/internal/platform", true},
		{"cmd/waypost/internal/platform", "github.com/prometheus/client_golang/prometheus", true},
	} {
		if reasons := violations(c.importer, c.path); (len(reasons) > 0) != c.wrong {
			t.Errorf("%s importing %s: got %q, want it forbidden: %v", c.importer, c.path, reasons, c.wrong)
		}
	}
}
