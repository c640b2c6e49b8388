package graph

import (
	"context"
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/audit"
	"github.com/waypost/waypost/domain/sender"
)

// personalFields are the fields that only a caller with PERSONAL sees in the clear.
var personalFields = map[string][]string{
	"Message":        {"to", "content"},
	"MessageFailure": {"details"},
	"Event":          {"data"},
}

// recordReads records an operation that reads under AUDIT or PERSONAL before it is
// carried out. Mutations too: one that changes nothing, such as a repeat, would show a
// message and leave no trace.
func (r *Resolver) recordReads(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx)
	c := callerOf(ctx)
	read, found := c.readsOf(op)
	if !found {
		return next(ctx)
	}
	if err := r.opts.Reads.Record(ctx, c.actor(), read); err != nil {
		presented := r.errors.present(ctx, resolverError{domain.Unavailable("a read under AUDIT or PERSONAL could not be recorded: %v", err)})
		return graphql.OneShot(graphql.ErrorResponse(ctx, "%s", presented.Message))
	}
	return next(ctx)
}

// readsOf is what an operation reads under AUDIT and PERSONAL; false if it reads
// nothing under either, or if the caller may not.
func (c caller) readsOf(op *graphql.OperationContext) (audit.LogRead, bool) {
	w := readWalk{caller: c, variables: op.Variables, scopes: map[string]bool{}, fields: map[string]bool{}}
	w.walk(op.Operation.SelectionSet, true)
	if len(w.scopes) == 0 {
		return audit.LogRead{}, false
	}
	return audit.LogRead{
		Scopes: slices.Sorted(maps.Keys(w.scopes)), Fields: slices.Sorted(maps.Keys(w.fields)),
		Messages: w.messages, Senders: w.senders,
	}, true
}

// readWalk goes through the fields of an operation.
type readWalk struct {
	caller            caller
	variables         map[string]any
	scopes, fields    map[string]bool
	messages, senders []string
}

func (w *readWalk) walk(set ast.SelectionSet, root bool) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			w.field(s, root)
		case *ast.InlineFragment:
			w.walk(s.SelectionSet, root)
		case *ast.FragmentSpread:
			w.walk(s.Definition.SelectionSet, root)
		}
	}
}

func (w *readWalk) field(f *ast.Field, root bool) {
	if f.Definition == nil || f.ObjectDefinition == nil {
		return
	}
	name := f.ObjectDefinition.Name + "." + f.Name
	arguments := f.ArgumentMap(w.variables)
	if needs := f.Definition.Directives.ForName("hasScope"); needs != nil {
		scope := Scope(needs.Arguments.ForName("scope").Value.Raw)
		if (scope == ScopeAudit || arguments["asOf"] != nil) && w.caller.may(ScopeAudit) {
			w.scopes[string(ScopeAudit)], w.fields[name] = true, true
		}
	}
	if slices.Contains(personalFields[f.ObjectDefinition.Name], f.Name) && w.caller.may(ScopePersonal) {
		w.scopes[string(ScopePersonal)], w.fields[name] = true, true
	}
	if root {
		w.fields[name] = true
		filter, _ := arguments["filter"].(map[string]any)
		w.ids(arguments)
		w.ids(filter)
	}
	w.walk(f.SelectionSet, false)
}

// ids keeps the ids of messages and senders that were asked for. What is given as
// one and has not the form of one may be anything, and is not kept.
func (w *readWalk) ids(given map[string]any) {
	for _, name := range []string{"id", "messageId", "correlationId"} {
		if s, ok := given[name].(string); ok && uuid.Validate(s) == nil {
			w.messages = append(w.messages, s)
		}
	}
	if s, ok := given["senderId"].(string); ok && sender.ValidID(s) {
		w.senders = append(w.senders, s)
	}
}
