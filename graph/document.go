package graph

import (
	"context"
	"math"
	"strconv"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// documents checks documents from callers before they are validated, because the time
// of validation grows faster than the document. It also caches parsed documents within
// a limit on their memory.
//
// The executor runs it for every operation of every transport: first as an extension
// that sees the document's text, then as the cache that the executor looks it up in.
type documents struct {
	mu    sync.Mutex
	kept  *simplelru.LRU[string, cachedDoc]
	bytes int
}

type cachedDoc struct {
	doc  *ast.QueryDocument
	size int
}

var (
	_ graphql.OperationParameterMutator = (*documents)(nil)
	_ graphql.Cache[*ast.QueryDocument] = (*documents)(nil)
)

func newDocuments() *documents {
	d := &documents{}
	kept, err := simplelru.NewLRU(math.MaxInt32, func(_ string, c cachedDoc) { d.bytes -= c.size })
	if err != nil {
		panic(err) // the size is positive
	}
	d.kept = kept
	return d
}

// ExtensionName names the extension to gqlgen.
func (*documents) ExtensionName() string { return "Documents" }

// Validate has nothing to check in the schema.
func (*documents) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters rejects a document that exceeds a limit. It changes
// nothing.
func (d *documents) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	if _, ok := d.Get(ctx, params.Query); ok {
		return nil
	}
	if n := len(params.Query); n > maxBody {
		return overLimit("the document has %d bytes; the limit is %d: pass values as variables", n, maxBody)
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: params.Query}, maxTokens)
	if err != nil {
		failed := gqlerror.WrapIfUnwrapped(err)
		errcode.Set(failed, errcode.ParseFailed)
		return failed
	}
	return checkDocument(doc)
}

// validation returns the rules for validating documents. Errors about values contain no
// suggestions: a string can be as long as the document, and would be compared with
// every name of an enum.
func validation() *rules.Rules {
	all := rules.NewDefaultRules()
	all.RemoveRule(rules.ValuesOfCorrectTypeRule.Name)
	quiet := rules.ValuesOfCorrectTypeRuleWithoutSuggestions
	all.AddRule(quiet.Name, quiet.RuleFunc)
	return all
}

// Get returns a document that was checked and validated before.
func (d *documents) Get(_ context.Context, text string) (*ast.QueryDocument, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.kept.Get(text)
	return c.doc, ok
}

// Add caches a validated document, unless it is large.
func (d *documents) Add(_ context.Context, text string, doc *ast.QueryDocument) {
	size := sizeOf(text, doc)
	if size > cachedDocument {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept.Remove(text)
	d.kept.Add(text, cachedDoc{doc, size})
	for d.bytes += size; d.bytes > cachedBytes; {
		d.kept.RemoveOldest()
	}
}

// nodeBytes is the maximum size of a parsed node, with its position and comments.
const nodeBytes = 512

func sizeOf(text string, doc *ast.QueryDocument) int {
	var m measure
	m.document(doc)
	return len(text) + m.nodes*nodeBytes
}

// checkDocument returns an error if a parsed document exceeds a limit. Its time is
// proportional to the document, whatever the document is.
func checkDocument(doc *ast.QueryDocument) *gqlerror.Error {
	if n := len(doc.Operations); n > maxOperations {
		return overLimit("the document has %d operations; the limit is %d: send only related ones", n, maxOperations)
	}
	if n := len(doc.Fragments); n > maxFragments {
		return overLimit("the document has %d fragments; the limit is %d: send only those that the operation uses", n, maxFragments)
	}
	var m measure
	if m.document(doc); m.err != nil {
		return m.err
	}
	c := counter{fragments: make(map[string]*ast.FragmentDefinition, len(doc.Fragments)), memo: map[string]count{}}
	for _, f := range doc.Fragments {
		c.fragments[f.Name] = f
	}
	total := 0
	for _, f := range doc.Fragments { // validation also visits unused ones
		n := c.fragment(f.Name)
		if c.cycle != "" {
			return overLimit("fragment %q contains itself; remove its spread from what it contains", c.cycle)
		}
		total = addUp(total, n.selections)
	}
	deepest := 0
	for _, op := range doc.Operations {
		n := c.set(op.SelectionSet)
		total, deepest = addUp(total, n.selections), max(deepest, n.depth)
	}
	if deepest > maxDepth {
		return overLimit("fields nest %d levels deep; the limit is %d: request the inner fields separately", deepest, maxDepth)
	}
	if total > maxSelections {
		return overLimit("the document has %s fields, counting every use of a fragment; the limit is %d: "+
			"request fewer fields, or split the document into several requests", shownCount(total), maxSelections)
	}
	for _, op := range doc.Operations {
		if err := c.merged([]ast.SelectionSet{op.SelectionSet}, true); err != nil {
			return err
		}
	}
	for _, f := range doc.Fragments {
		if err := c.merged([]ast.SelectionSet{f.SelectionSet}, false); err != nil {
			return err
		}
	}
	return nil
}

// addUp adds without overflow.
func addUp(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

// multiply multiplies numbers that are not negative without overflow.
func multiply(a, b int) int {
	if a != 0 && b > math.MaxInt/a {
		return math.MaxInt
	}
	return a * b
}

func shownCount(n int) string {
	if n == math.MaxInt {
		return "more than " + strconv.Itoa(math.MaxInt-1)
	}
	return strconv.Itoa(n)
}

// count is the number of selections in a selection set, and the depth of their nesting.
type count struct{ selections, depth int }

// counter counts what a document expands to. Each fragment is counted once: a chain of
// n fragments that each spread the next one twice expands to 2^n.
type counter struct {
	fragments map[string]*ast.FragmentDefinition
	memo      map[string]count
	cycle     string // a fragment that contains itself
}

func (c *counter) set(set ast.SelectionSet) count {
	var n count
	for _, s := range set {
		inner := count{}
		n.selections = addUp(n.selections, 1)
		switch s := s.(type) {
		case *ast.Field:
			inner = c.set(s.SelectionSet)
			inner.depth = addUp(inner.depth, 1)
		case *ast.InlineFragment:
			inner = c.set(s.SelectionSet)
		case *ast.FragmentSpread:
			inner = c.fragment(s.Name)
		}
		n.selections, n.depth = addUp(n.selections, inner.selections), max(n.depth, inner.depth)
	}
	return n
}

// beingCounted marks a fragment whose count has begun.
var beingCounted = count{-1, -1} //nolint:gochecknoglobals // a constant

func (c *counter) fragment(name string) count {
	n, begun := c.memo[name]
	f := c.fragments[name]
	switch {
	case n == beingCounted && begun:
		c.cycle = name
		return count{}
	case begun, f == nil, c.cycle != "": // validation reports a missing one
		return n
	}
	c.memo[name] = beingCounted
	n = c.set(f.SelectionSet)
	c.memo[name] = n
	return n
}

// merged checks how often names repeat where selection sets are merged because their
// fields have the same response name. The document must be known to expand to few
// fields.
func (c *counter) merged(sets []ast.SelectionSet, root bool) *gqlerror.Error {
	byResponse, byName := map[string][]ast.SelectionSet{}, map[string]int{}
	fields := 0
	var collect func(ast.SelectionSet)
	collect = func(set ast.SelectionSet) {
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				fields++
				byName[s.Name]++
				byResponse[s.Alias] = append(byResponse[s.Alias], s.SelectionSet)
			case *ast.InlineFragment:
				collect(s.SelectionSet)
			case *ast.FragmentSpread:
				if f := c.fragments[s.Name]; f != nil {
					collect(f.SelectionSet)
				}
			}
		}
	}
	for _, set := range sets {
		collect(set)
	}
	if root && fields > maxRootFields {
		return overLimit("the operation has %d fields at its root; the limit is %d: split it into several requests", fields, maxRootFields)
	}
	for name, n := range byName {
		if n > maxSameName {
			return overLimit("the field %q is selected %d times in one place; the limit is %d: split the operation into several requests", name, n, maxSameName)
		}
	}
	for name, same := range byResponse {
		if len(same) > maxSameName {
			return overLimit("%q is selected %d times in one place; the limit is %d: select it once", name, len(same), maxSameName)
		}
		if err := c.merged(same, false); err != nil {
			return err
		}
	}
	return nil
}

// measure visits every node of a document once, without expanding fragments. It counts
// the nodes and detects invalid ones.
type measure struct {
	nodes int
	err   *gqlerror.Error
}

func (m *measure) refusef(format string, args ...any) {
	if m.err == nil {
		m.err = overLimit(format, args...)
	}
}

func (m *measure) name(name string) {
	if len(name) > maxName {
		m.refusef("the name that begins with %q has %d bytes; the limit is %d", name[:20], len(name), maxName)
	}
}

func (m *measure) document(doc *ast.QueryDocument) {
	for _, op := range doc.Operations {
		m.name(op.Name)
		if n := len(op.VariableDefinitions); n > maxVariables {
			m.refusef("an operation has %d variables; the limit is %d: pass lists or objects", n, maxVariables)
		}
		for _, v := range op.VariableDefinitions {
			m.nodes += 2 // the variable and its type
			m.name(v.Variable)
			m.name(v.Type.Name())
			m.value(v.DefaultValue)
			m.directives(v.Directives)
		}
		m.directives(op.Directives)
		m.set(op.SelectionSet)
	}
	for _, f := range doc.Fragments {
		m.name(f.Name)
		m.name(f.TypeCondition)
		m.directives(f.Directives)
		m.set(f.SelectionSet)
	}
	m.nodes += len(doc.Operations) + len(doc.Fragments)
}

func (m *measure) set(set ast.SelectionSet) {
	for _, s := range set {
		m.nodes++
		switch s := s.(type) {
		case *ast.Field:
			m.name(s.Alias)
			m.name(s.Name)
			m.arguments(s.Arguments)
			m.directives(s.Directives)
			m.set(s.SelectionSet)
		case *ast.InlineFragment:
			m.name(s.TypeCondition)
			m.directives(s.Directives)
			m.set(s.SelectionSet)
		case *ast.FragmentSpread:
			m.name(s.Name)
			m.directives(s.Directives)
		}
	}
}

func (m *measure) directives(list ast.DirectiveList) {
	if n := len(list); n > maxArguments {
		m.refusef("a field has %d directives; the limit is %d", n, maxArguments)
	}
	for _, d := range list {
		m.nodes++
		m.name(d.Name)
		if d.Name == "defer" { // every schema of gqlparser has it
			m.refusef("@defer is not supported; remove it, or send the fragment as a query of its own")
		}
		m.arguments(d.Arguments)
	}
}

func (m *measure) arguments(list ast.ArgumentList) {
	if n := len(list); n > maxArguments {
		m.refusef("a field has %d arguments; the limit is %d", n, maxArguments)
	}
	for _, a := range list {
		m.nodes++
		m.name(a.Name)
		m.value(a.Value)
	}
}

// value also rejects numbers that the executor cannot parse.
func (m *measure) value(v *ast.Value) {
	if v == nil {
		return
	}
	m.nodes++
	switch v.Kind {
	case ast.IntValue:
		if _, err := strconv.ParseInt(v.Raw, 10, 64); err != nil {
			m.refusef("%.20s does not fit in 64 bits; pass it as a string", v.Raw)
		}
	case ast.FloatValue:
		if _, err := strconv.ParseFloat(v.Raw, 64); err != nil {
			m.refusef("%.20s is too large; pass it as a string", v.Raw)
		}
	case ast.EnumValue, ast.Variable:
		m.name(v.Raw)
	case ast.StringValue, ast.BlockValue, ast.BooleanValue, ast.NullValue, ast.ListValue, ast.ObjectValue:
	}
	for _, child := range v.Children {
		m.name(child.Name)
		m.value(child.Value)
	}
}
