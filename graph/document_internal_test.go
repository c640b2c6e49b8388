package graph

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"pgregory.net/rapid"
)

func servedSchema() *ast.Schema { return NewExecutableSchema(Config{}).Schema() }

func parsed(tb testing.TB, text string) *ast.QueryDocument {
	tb.Helper()
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, maxTokens)
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

func TestDocumentsOverALimitAreRefused(t *testing.T) {
	t.Parallel()
	repeated := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	for name, c := range map[string]struct{ document, want string }{
		"fragments that double":        {doubling(60), "has more than"},
		"few fragments that double":    {doubling(20), "fields, counting every use of a fragment; the limit is 5000"},
		"a fragment in itself":         {"{ ...a } fragment a on Query { ...b } fragment b on Query { viewer { ...a } }", "contains itself"},
		"an unused fragment in itself": {"{ viewer { name } } fragment a on Query { ...a }", "contains itself"},
		"one field many times":         {"{ viewer {" + repeated(101, " name") + "} }", "101 times in one place; the limit is 100"},
		"one field under many names":   {"{ viewer {" + repeated(101, " a#: name") + "} }", "101 times in one place; the limit is 100"},
		"one field in many merged sets": {
			"{" + repeated(60, " viewer {"+repeated(2, " name")+" }") + "}", "120 times in one place; the limit is 100",
		},
		"fields of the root":   {"{ " + repeated(51, " a#: viewer { name } b#: readModel { behind }") + "}", "102 fields at its root; the limit is 100"},
		"nesting":              {"{ a" + strings.Repeat("{ a", 20) + strings.Repeat("}", 21), "nest 21 levels deep; the limit is 20"},
		"nesting in fragments": {chain(25), "nest 26 levels deep; the limit is 20"},
		"operations":           {repeated(51, " query q# { viewer { name } }"), "51 operations; the limit is 50"},
		"fragments":            {"{ viewer { name } }" + repeated(201, " fragment f# on Query { viewer { name } }"), "201 fragments; the limit is 200"},
		"variables":            {"query(" + repeated(1001, "$v#: Int ") + ") { viewer { name } }", "1001 variables; the limit is 1000"},
		"arguments":            {"{ messages(" + repeated(51, "a#: 1 ") + ") { edges { cursor } } }", "51 arguments; the limit is 50"},
		"directives":           {"{ viewer { name" + strings.Repeat(" @skip(if: false)", 51) + " } }", "51 directives; the limit is 50"},
		"a deferred fragment":  {"{ readModel { behind ... @defer { parked { stream } } } }", "@defer is not supported"},
		"a deferred spread":    {"{ readModel { ...a } } fragment a on ReadModel { ...b @defer(if: true) } fragment b on ReadModel { behind }", "@defer is not supported"},
		"a name":               {"{ " + strings.Repeat("a", 201) + " }", "has 201 bytes; the limit is 200"},
		"a number":             {`mutation { queueMessage(input: {content: {contacts: [{contact: 99999999999999999999}]}}) { replayed } }`, "does not fit in 64 bits"},
		"fields":               {"{" + repeated(90, " a#: message(id: 1) {"+repeated(60, " f#")+" }") + "}", "has 5490 fields"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := checkDocument(parsed(t, c.document))
			if err == nil || !strings.Contains(err.Message, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// doubling returns a chain of n fragments that each spread the next one twice.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString("{ ...f0 }")
	for i := range n {
		fmt.Fprintf(&b, " fragment f%d on Query { ...f%d ...f%d }", i, i+1, i+1)
	}
	fmt.Fprintf(&b, " fragment f%d on Query { viewer { name } }", n)
	return b.String()
}

// chain returns a chain of n fragments that each nest the next one a level deeper.
func chain(n int) string {
	var b strings.Builder
	b.WriteString("{ ...f0 }")
	for i := range n {
		fmt.Fprintf(&b, " fragment f%d on Query { a { ...f%d } }", i, i+1)
	}
	fmt.Fprintf(&b, " fragment f%d on Query { a }", n)
	return b.String()
}

// Counting with memoization equals counting the expanded document.
func TestCountsAreThoseOfTheExpandedDocument(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "fragments")
		var set func(from, depth int) string
		set = func(from, depth int) string { // spreads only later fragments
			var b strings.Builder
			b.WriteString("{ x")
			for range rapid.IntRange(0, 3).Draw(t, "selections") {
				switch kind := rapid.IntRange(0, 2).Draw(t, "kind"); {
				case kind == 0 && from < n:
					fmt.Fprintf(&b, " ...f%d", rapid.IntRange(from, n-1).Draw(t, "spread"))
				case kind == 1 && depth > 0:
					b.WriteString(" ... on Query " + set(from, depth-1))
				case depth > 0:
					b.WriteString(" y " + set(from, depth-1))
				}
			}
			return b.String() + " }"
		}
		text := set(0, 3)
		for i := range n {
			text = fmt.Sprintf("%s fragment f%d on Query %s", text, i, set(i+1, 2))
		}
		doc, err := parser.ParseQuery(&ast.Source{Input: text})
		if err != nil {
			t.Fatal(err)
		}
		c := counter{fragments: map[string]*ast.FragmentDefinition{}, memo: map[string]count{}}
		for _, f := range doc.Fragments {
			c.fragments[f.Name] = f
		}
		var expand func(ast.SelectionSet) count
		expand = func(set ast.SelectionSet) (n count) {
			for _, s := range set {
				var in count
				switch s := s.(type) {
				case *ast.Field:
					in = expand(s.SelectionSet)
					in.depth++
				case *ast.InlineFragment:
					in = expand(s.SelectionSet)
				case *ast.FragmentSpread:
					in = expand(c.fragments[s.Name].SelectionSet)
				}
				n.selections, n.depth = n.selections+1+in.selections, max(n.depth, in.depth)
			}
			return n
		}
		root := doc.Operations[0].SelectionSet
		if got, want := c.set(root), expand(root); got != want {
			t.Errorf("%s\ncounts %+v, want %+v", text, got, want)
		}
	})
}

// Every field of the root types and every list of objects has a weight, and every
// weight has a field.
func TestEveryFieldThatCostsHasItsWeight(t *testing.T) {
	t.Parallel()
	schema, table := servedSchema(), weights()
	for name := range table {
		of, field, _ := strings.Cut(name, ".")
		def := schema.Types[of]
		if def == nil || def.Fields.ForName(field) == nil {
			t.Errorf("%s has a weight and is not in the schema", name)
		}
	}
	root := map[string]bool{"Query": true, "Mutation": true, "Subscription": true}
	for _, typ := range schema.Types {
		if typ.Kind != ast.Object || strings.HasPrefix(typ.Name, "__") {
			continue
		}
		for _, f := range typ.Fields {
			returned := schema.Types[f.Type.Name()]
			list := f.Type.Elem != nil && returned.Kind == ast.Object
			paged := f.Arguments.ForName("first") != nil
			w, ok := table[typ.Name+"."+f.Name]
			switch {
			case !ok && (root[typ.Name] || list || paged || strings.HasSuffix(returned.Name, "Connection")):
				t.Errorf("%s.%s has no weight: add it in cost.go", typ.Name, f.Name)
			case w.items == nil && (paged || list && !strings.HasSuffix(f.Type.Name(), "Edge")):
				t.Errorf("the weight of %s.%s does not count its items", typ.Name, f.Name)
			}
		}
	}
}

// costOf returns the total cost of a document's operations, with variables by name.
func costOf(tb testing.TB, text string, variables map[string]any) int {
	tb.Helper()
	schema := servedSchema()
	if err := checkDocument(parsed(tb, text)); err != nil {
		tb.Fatalf("%v in\n%.500s", err, text)
	}
	doc, errs := gqlparser.LoadQueryWithRules(schema, text, validation())
	if errs != nil {
		tb.Fatalf("%v in\n%s", errs, text)
	}
	most := 0
	for _, op := range doc.Operations {
		c := costs{weights: weights(), variables: variables, memo: map[spread]int{}}
		most = max(most, c.set(op.SelectionSet, false))
	}
	return most
}

// The operations of the web UI, the README, and the docs cost at most half of the
// limit.
func TestWhatIsAskedForEveryDayIsFarBelowTheLimit(t *testing.T) {
	t.Parallel()
	var texts []string
	files, err := filepath.Glob("../web/app/src/graphql/*.graphql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	// The fragments of one file are used in others.
	declared := regexp.MustCompile(`(?ms)^fragment (\w+) on \w+ \{(?:[^\n]*\}$|\n.*?^\}$)`)
	var fragments [][]string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fragments = append(fragments, declared.FindAllStringSubmatch(string(text), -1)...)
		texts = append(texts, declared.ReplaceAllString(string(text), ""))
	}
	for i := range texts {
		for range fragments { // they use each other
			for _, f := range fragments {
				if used := regexp.MustCompile(`\.\.\.` + f[1] + `\b`); used.MatchString(texts[i]) && !strings.Contains(texts[i], f[0]) {
					texts[i] += "\n" + f[0]
				}
			}
		}
	}
	texts = append(texts, introspectionQuery)
	for _, pattern := range []string{"../README.md", "../docs/*.md"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, block := range regexp.MustCompile("(?s)```graphql\n(.*?)```").FindAllSubmatch(text, -1) {
				texts = append(texts, string(block[1]))
			}
		}
	}
	for _, text := range texts {
		if n := costOf(t, text, map[string]any{"first": int64(200)}); n > maxCost/2 {
			t.Errorf("%d points for\n%s", n, text)
		}
	}
}

func TestCostsAreWhatTheArgumentsAskFor(t *testing.T) {
	t.Parallel()
	thousand := make([]any, maxQueue)
	for name, c := range map[string]struct {
		text      string
		variables map[string]any
		over      bool
	}{
		"a full page":           {`{ messages(first: 200) { edges { node { id to status content attemptLog { call outcome failure { message } } } } } }`, nil, false},
		"histories of a page":   {`{ messages(first: 200) { edges { node { history(first: 200) { edges { cursor } } } } } }`, nil, true},
		"by a variable":         {`query($n: Int) { messages(first: $n) { edges { node { history(first: $n) { edges { cursor } } } } } }`, map[string]any{"n": int64(200)}, true},
		"by a text":             {`query($n: Int) { messages(first: $n) { edges { node { history(first: $n) { edges { cursor } } } } } }`, map[string]any{"n": "200"}, true},
		"by no number":          {`query($n: Int) { messages(first: $n) { edges { node { history(first: $n) { edges { cursor } } } } } }`, map[string]any{"n": 1.5}, true},
		"few by a variable":     {`query($n: Int) { messages(first: $n) { edges { node { history(first: $n) { edges { cursor } } } } } }`, map[string]any{"n": int64(10)}, false},
		"a batch":               {`mutation($in: [QueueMessageInput!]!) { queueMessages(inputs: $in) { replayed error { code message field } message { id status to content labels { name value } sender { id name queueDepth } } } }`, map[string]any{"in": thousand}, false},
		"batches":               {`mutation($in: [QueueMessageInput!]!) { ` + aliases(10, `queueMessages(inputs: $in) { replayed }`) + ` }`, map[string]any{"in": thousand}, true},
		"counts":                {`{ ` + aliases(30, `messageCounts { count }`) + ` }`, nil, false},
		"many counts":           {`{ ` + aliases(40, `messageCounts { count }`) + ` }`, nil, true},
		"ledgers of the past":   {`{ ` + aliases(4, `ledger(asOf: "2026-01-01T00:00:00Z") { open }`) + ` }`, nil, true},
		"series":                {`{ metricSeries(from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", step: "PT1M") { at metrics { sent delivered } } }`, nil, false},
		"many series":           {`{ ` + aliases(30, `metricSeries(from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", step: "PT1M") { at metrics { sent delivered } }`) + ` }`, nil, true},
		"tokens":                {`mutation { ` + aliases(30, `createAccessToken(scopes: [READ]) { token }`) + ` }`, nil, true},
		"the schema many times": {`{ ` + aliases(100, `__schema { types { fields { type { fields { name } } } } }`) + ` }`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n := costOf(t, c.text, c.variables); (n > maxCost) != c.over {
				t.Errorf("costs %d points of %d", n, maxCost)
			}
		})
	}
}

func aliases(n int, field string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d: %s", i, field)
	}
	return b.String()
}

// Whatever the documents look like, the cache's memory stays within its limit, apart
// from the overhead of the heap.
func TestCacheIsBoundedByBytes(t *testing.T) { //nolint:paralleltest // it measures the heap
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	small := func(i int) string { return fmt.Sprintf("query q%d { viewer { name } }", i) }
	dense := func(i int) string { // the most nodes per byte
		return fmt.Sprintf("query q%d{", i) + strings.Repeat("a ", 200) + "b}"
	}
	text := func(i int) string {
		return fmt.Sprintf(`query q%d { message(id: "%s") { id } }`, i, strings.Repeat("x", 100_000))
	}
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for name, make := range map[string]func(int) string{"small": small, "dense": dense, "text": text} {
		d, before := newDocuments(), heap()
		for i := range 15_000 {
			if name != "small" && i > 1000 {
				break
			}
			q := make(i)
			d.Add(t.Context(), q, parsed(t, q))
		}
		held := heap() - before
		if held > cachedBytes*5/4 {
			t.Errorf("%s: %d documents take %d bytes, the limit is %d", name, d.kept.Len(), held, cachedBytes)
		}
		if d.bytes > cachedBytes || d.kept.Len() < 100 {
			t.Errorf("%s: keeps %d documents of %d bytes", name, d.kept.Len(), d.bytes)
		}
		runtime.KeepAlive(d)
	}
	d := newDocuments()
	large := `{ message(id: "` + strings.Repeat("x", cachedDocument) + `") { id } }`
	d.Add(t.Context(), large, parsed(t, large))
	if d.kept.Len() > 0 {
		t.Error("a large document is kept")
	}
}

// A document that passes the check is validated without a panic, and its cost can be
// computed.
func FuzzDocument(f *testing.F) {
	f.Add("{ viewer { name } }")
	f.Add(doubling(5))
	f.Add(chain(3))
	f.Add(introspectionQuery)
	f.Add(`mutation($in: [QueueMessageInput!]!) { queueMessages(inputs: $in) { message { ...m } } } fragment m on Message { id sender { id } }`)
	f.Add(`{ messages(filter: {labels: [{name: "a", value: "b"}]}, first: 3) { edges { node { ... on Message @skip(if: true) { history { edges { cursor } } } } } } }`)
	f.Add(`{ metricSeries(from: "x", to: 1e999, step: PT1M) { at } }`)
	schema := servedSchema()
	f.Fuzz(func(t *testing.T, text string) {
		d := newDocuments()
		if err := d.MutateOperationParameters(context.Background(), &graphql.RawParams{Query: text}); err != nil {
			return
		}
		doc := parsed(t, text)
		if errs := validator.ValidateWithRules(schema, doc, validation()); errs != nil {
			return
		}
		for _, op := range doc.Operations {
			c := costs{weights: weights(), memo: map[spread]int{}}
			if c.set(op.SelectionSet, false) < 0 {
				t.Error("an operation costs less than nothing")
			}
		}
		d.Add(context.Background(), text, doc)
	})
}

// introspectionQuery is GraphiQL's introspection query.
const introspectionQuery = `query IntrospectionQuery {
  __schema {
    queryType { name kind } mutationType { name kind } subscriptionType { name kind }
    types { ...FullType }
    directives { name description locations args(includeDeprecated: true) { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description
  fields(includeDeprecated: true) {
    name description args(includeDeprecated: true) { ...InputValue }
    type { ...TypeRef } isDeprecated deprecationReason
  }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType {
    kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } }
}`

// Each field that depends on PERSONAL is one whose reads are recorded.
func TestReadsOfPersonalFieldsAreRecorded(t *testing.T) {
	t.Parallel()
	for _, typ := range servedSchema().Types {
		if typ.Kind != ast.Object || typ.Name == "Query" || typ.Name == "Mutation" || typ.Name == "Subscription" || typ.Name == "Label" {
			continue // a label is read through the fields that have labels
		}
		for _, f := range typ.Fields {
			if strings.Contains(f.Description, "PERSONAL") && !slices.Contains(personalFields[typ.Name], f.Name) {
				t.Errorf("reads of %s.%s are not recorded", typ.Name, f.Name)
			}
		}
	}
}
