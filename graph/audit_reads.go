package graph

import (
	"context"
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/audit"
	"github.com/waypost/waypost/domain/sender"
)

// personalFields are the fields that only a caller with PERSONAL sees unmasked.
var personalFields = map[string][]string{
	"Message":        {"to", "toUserId", "content", "labels", "whatsappId", "replyTo", "fallback"},
	"Attempt":        {"whatsappId"},
	"MessageFailure": {"details"},
	"InboundMessage": {"from", "name", "content", "raw", "whatsappId", "replyTo"},
	"Conversation":   {"to", "toUserId", "name"},
	"EchoMessage":    {"raw"},
	"Event":          {"data"},
	"CampaignPause":  {"label"},
}

// recordReads records an operation that reads with AUDIT or PERSONAL before it is
// carried out. This includes mutations: one that changes nothing, such as a repeat,
// would otherwise return a message and leave no trace.
func (r *Resolver) recordReads(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx)
	c := callerOf(ctx)
	read, found := c.readsOf(op)
	if !found {
		return next(ctx)
	}
	if err := r.opts.Commands.RecordRead(ctx, c.actor(), read); err != nil {
		presented := r.errors.present(ctx, resolverError{r.unrecorded(ctx, err)})
		return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{presented}})
	}
	return next(ctx)
}

// unrecorded returns the error of a read that could not be recorded. The cause is only logged,
// because it can name hosts and users of the stores.
func (r *Resolver) unrecorded(ctx context.Context, cause error) error {
	r.opts.Logger.WarnContext(ctx, "failed to record a read under AUDIT or PERSONAL", "error", cause)
	return domain.Unavailable("the read under AUDIT or PERSONAL could not be recorded; try again")
}

// readsOf returns what an operation reads with AUDIT and PERSONAL. It returns false if
// the operation reads nothing with either, or if the caller has neither.
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

// readWalk visits the fields of an operation.
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
		if name == "Query.conversation" && w.caller.may(ScopePersonal) { // by a number or a user ID
			w.scopes[string(ScopePersonal)] = true
		}
		filter, _ := arguments["filter"].(map[string]any)
		w.ids(arguments)
		w.ids(filter)
		w.number(filter)
		if input, ok := arguments["input"].(map[string]any); ok {
			filter, _ := input["filter"].(map[string]any)
			w.number(filter)
		}
	}
	w.walk(f.SelectionSet, false)
}

// number records that messages were looked up by a phone number or user ID, but not which one.
func (w *readWalk) number(filter map[string]any) {
	for _, name := range []string{"to", "toUserId"} {
		if filter[name] != nil && w.caller.may(ScopePersonal) {
			w.scopes[string(ScopePersonal)], w.fields["MessageFilter."+name] = true, true
		}
	}
}

// ids records the requested IDs of messages and senders. A value that does not have the
// format of an ID can be anything, so it is not recorded.
func (w *readWalk) ids(given map[string]any) {
	for _, name := range []string{"id", "messageId", "correlationId"} {
		if s, ok := given[name].(string); ok && (uuid.Validate(s) == nil || inbox.ValidID(s)) {
			w.messages = append(w.messages, s)
		}
	}
	if s, ok := given["senderId"].(string); ok && sender.ValidID(s) {
		w.senders = append(w.senders, s)
	}
}
