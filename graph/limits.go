package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
)

const (
	// maxComplexity is in fields of the answer: 1000 queued messages with all of
	// their fields, or a full page with the calls of each.
	maxComplexity = 60_000
	// maxDepth is how deep fields may nest; GraphiQL's introspection query, the
	// deepest that is of use, has 16.
	maxDepth = 20
	// attemptsEstimate is how many calls a message is taken to have, and streamRead
	// what reading a stream for them weighs.
	attemptsEstimate = 3
	streamRead       = 20
	// keysEstimate is how many keys an installation is taken to have.
	keysEstimate = 100
)

// complexities weigh the fields that answer lists by how long these may get.
func complexities() ComplexityRoot {
	page := func(child int, first *int) int { return 1 + child*min(max(or(first, defaultPage), 1), query.MaxPage) }
	var c ComplexityRoot
	c.Query.Messages = func(child int, _ *MessageFilter, first *int, _ *string) int { return page(child, first) }
	c.Query.DeadLetters = func(child int, _ *DeadLetterFilter, first *int, _ *string) int { return page(child, first) }
	c.Query.Events = func(child int, _ *EventFilter, _ *LogOrder, first *int, _ *string) int {
		return streamRead + child*min(max(or(first, defaultHistory), 1), audit.MaxPage)
	}
	c.Query.Alerts = func(child int, _ *AlertFilter, first *int, _ *string) int { return page(child, first) }
	c.Query.MetricSeries = func(child int, _ *string, from, to time.Time, step *time.Duration) int {
		points := min(max(int(to.Sub(from)/max(or(step, time.Minute), time.Second)), 1), query.MaxPoints)
		return streamRead + child*points
	}
	c.Query.Message = func(child int, _ string, _ *time.Time) int { return streamRead + child }
	c.Mutation.QueueMessages = func(child int, inputs []*QueueMessageInput) int { return 1 + child*max(len(inputs), 1) }
	c.Message.History = func(child int, first *int, _ *string) int { return streamRead + page(child, first) }
	c.Message.AttemptLog = func(child int) int { return streamRead + child*attemptsEstimate }
	c.Subscription.MessageEvents = func(child int, _, _, _ *string) int { return 1 + child }
	c.Query.APIKeys = func(child int, _ *bool) int { return streamRead + child*keysEstimate }
	c.Subscription.MessageUpdates = func(child int, _ []string, _ *string, _ *message.Label, _ []message.Status, _ *string) int {
		return 1 + child
	}
	return c
}

// depthLimit refuses operations whose fields nest deeper.
type depthLimit int

var _ graphql.OperationContextMutator = depthLimit(0)

// ExtensionName names the extension to gqlgen.
func (depthLimit) ExtensionName() string { return "DepthLimit" }

// Validate has nothing to check about the schema.
func (depthLimit) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext refuses the operation, and changes nothing.
func (d depthLimit) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if depth(op.Operation.SelectionSet, int(d)+1) > int(d) {
		return gqlerror.Errorf("fields nest deeper than %d levels", d)
	}
	return nil
}

// depth is how deep the selection nests, counted up to most. Fragments cannot
// contain themselves: the document is valid.
func depth(set ast.SelectionSet, most int) int {
	if most == 0 {
		return 0
	}
	deepest := 0
	for _, s := range set {
		d := 0
		switch s := s.(type) {
		case *ast.Field:
			d = 1 + depth(s.SelectionSet, most-1)
		case *ast.InlineFragment:
			d = depth(s.SelectionSet, most)
		case *ast.FragmentSpread:
			d = depth(s.Definition.SelectionSet, most)
		}
		deepest = max(deepest, d)
	}
	return deepest
}
