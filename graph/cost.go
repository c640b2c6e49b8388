package graph

import (
	"context"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/app/query"
)

// weight is the cost of a field, in points. A point is about the cost of a field that
// is already in memory, 2 µs.
type weight struct {
	// own is the cost of the field itself.
	own int
	// asOf is added for a time in the past.
	asOf int
	// listed is added if the field is in a list, where it is read for each item.
	listed int
	// items returns the number of the field's items. Each item costs each plus its
	// fields. If nil, there is one.
	items func(args map[string]any) int
	each  int
}

// Costs of reads and writes.
const (
	costStream = 100    // the events of one message, from the event store
	costLookup = 300    // a few rows of Postgres
	costPage   = 2_000  // a page of a list, with the check of its filter
	costCount  = 6_000  // rows counted over a read model
	costScan   = 10_000 // a part of the event log, up to five seconds of it
	costPast   = 60_000
	costChange = 300 // a decision and an append
)

// weights returns the fields that cost more than a point, by type and name. Any other
// field costs one point, and has otherItems items if it is a list. The table contains
// every field of Query, Mutation, and Subscription, and every field that returns a list
// of objects or a connection.
func weights() map[string]weight {
	return map[string]weight{
		"Query.viewer":            {own: 1},
		"Query.readModel":         {own: costLookup},
		"Query.operation":         {own: costStream},
		"Query.message":           {own: costStream},
		"Query.messages":          {own: costPage, items: first(defaultPage, query.MaxPage), each: 10},
		"Query.messageCounts":     {own: costCount, items: items(12)},
		"Query.deadLetters":       {own: costPage + costCount, items: first(defaultPage, query.MaxPage), each: 10},
		"Query.sender":            {own: costStream},
		"Query.senders":           {own: costLookup, items: items(20)},
		"Query.metrics":           {own: costPage},
		"Query.metricSeries":      {own: costCount, items: seriesPoints, each: 20},
		"Query.alerts":            {own: costPage, items: first(defaultPage, query.MaxPage), each: 5},
		"Query.alertRules":        {own: costLookup, items: items(20)},
		"Query.operations":        {own: 20 * costStream, items: items(20)},
		"Query.silences":          {own: costLookup, items: items(20)},
		"Query.campaignPauses":    {own: costStream, items: items(100)},
		"Query.events":            {own: costScan, items: first(defaultHistory, audit.MaxPage), each: 5},
		"Query.ledger":            {own: costCount, asOf: costPast},
		"Query.apiKeys":           {own: costPage, items: items(100), each: 10},
		"Query.outgoingWebhooks":  {own: costLookup, items: items(20)},
		"Query.checkMessages":     {own: costStream, items: length("inputs", maxQueue), each: costStream},
		"Query.idempotencySecret": {own: 1},
		"Query.inboundMessages":   {own: costStream * 5, items: first(defaultPage, query.MaxPage), each: 5},
		"Query.inboundMessage":    {own: costStream},
		"Query.templates":         {own: costPage, items: first(defaultPage, query.MaxPage), each: 10},
		"Query.template":          {own: costLookup},
		"Query.conversations":     {own: costPage, items: first(defaultPage, query.MaxPage), each: 20},
		"Query.conversation":      {own: costLookup},

		"Mutation.queueMessage":                {own: costChange},
		"Mutation.queueMessages":               {own: costChange, items: length("inputs", maxQueue), each: 30},
		"Mutation.cancelMessage":               {own: costChange},
		"Mutation.markInboundRead":             {own: costChange},
		"Mutation.syncTemplates":               {own: costPast},
		"Mutation.setOptOut":                   {own: costChange + costLookup},
		"Mutation.cancelMessages":              {own: costScan},
		"Mutation.requeueDeadLetters":          {own: costScan},
		"Mutation.discardDeadLetters":          {own: costScan},
		"Mutation.registerSender":              {own: costChange},
		"Mutation.updateSender":                {own: costChange},
		"Mutation.setSenderRate":               {own: costChange},
		"Mutation.pauseSender":                 {own: costChange},
		"Mutation.pauseCampaign":               {own: costChange},
		"Mutation.resumeCampaign":              {own: costChange},
		"Mutation.resumeSender":                {own: costChange},
		"Mutation.resumeLanes":                 {own: costChange},
		"Mutation.liftRestrictions":            {own: costChange},
		"Mutation.setAlertRule":                {own: costChange},
		"Mutation.acknowledgeAlert":            {own: costChange},
		"Mutation.silenceAlerts":               {own: costChange},
		"Mutation.endSilence":                  {own: costChange},
		"Mutation.eraseRecipient":              {own: costPast},
		"Mutation.createAccessToken":           {own: costScan},
		"Mutation.createEmbedToken":            {own: costScan},
		"Mutation.createApiKey":                {own: costScan},
		"Mutation.revokeApiKey":                {own: costChange},
		"Mutation.createOutgoingWebhook":       {own: costChange},
		"Mutation.updateOutgoingWebhook":       {own: costChange},
		"Mutation.rotateOutgoingWebhookSecret": {own: costChange},
		"Mutation.disableOutgoingWebhook":      {own: costChange},
		"Mutation.enableOutgoingWebhook":       {own: costChange},
		"Mutation.removeOutgoingWebhook":       {own: costChange},

		// For a subscription, the cost is that of its start and one update.
		"Subscription.messageUpdates":  {own: costStream},
		"Subscription.messageEvents":   {own: costStream},
		"Subscription.inboundMessages": {own: costStream},
		"Subscription.alerts":          {own: costPage},
		"Subscription.metrics":         {own: costPage},

		"MessageConnection.edges":                 {own: 1}, // counted at the connection
		"DeadLetterConnection.edges":              {own: 1},
		"DeadLetterConnection.byCategory":         {own: 1, items: items(15)},
		"EventConnection.edges":                   {own: 1},
		"AlertConnection.edges":                   {own: 1},
		"InboundMessageConnection.edges":          {own: 1},
		"TemplateConnection.edges":                {own: 1},
		"OutgoingWebhookDeliveryConnection.edges": {own: 1},
		"ConversationConnection.edges":            {own: 1},
		"ConversationMessageConnection.edges":     {own: 1},

		"Message.sender":         {own: 10}, // those of a list are read together
		"Message.content":        {own: 1, listed: costStream},
		"Message.pricing":        {own: 1, listed: costStream},
		"Message.heldForQuality": {own: 1, listed: costStream},
		"Message.outsideWindow":  {own: 1, listed: costStream},
		"Message.fallback":       {own: 1, listed: costStream},
		"Message.substitutedAt":  {own: 1, listed: costStream},
		"Message.labels":         {own: 1, items: items(3)},
		"Message.pauses":         {own: 1, items: items(3)},
		"Message.history":        {own: costStream, items: first(defaultHistory, query.MaxPage), each: 5},
		"Message.attemptLog":     {own: 1, listed: costStream, items: items(3)},

		"Conversation.name":           {own: costStream},
		"Conversation.lastInbound":    {own: costStream},
		"Conversation.lastOutboundAt": {own: costLookup},
		"Conversation.messages":       {own: 2 * costLookup, items: first(defaultPage, query.MaxPage), each: costStream / 2},

		// These are read once for all senders of a list.
		"Sender.restrictions":    {own: 1, items: items(5)},
		"Sender.pauses":          {own: 1, items: items(3)},
		"Sender.lanes":           {own: 5, items: items(3)},
		"Sender.queueDepth":      {own: 5},
		"Sender.scheduled":       {own: 5},
		"Sender.oldestDueAge":    {own: 5},
		"Sender.emptyIn":         {own: 5},
		"Sender.drainPerMinute":  {own: 5},
		"Sender.effectiveRate":   {own: 5},
		"Sender.breaker":         {own: 5},
		"Sender.windowKnown":     {own: 5},
		"Sender.windowKnownFrom": {own: 5},
		"Sender.throttledUntil":  {own: 5},

		"Template.queued": {own: 5}, // read once for all templates of a list

		"Alert.sender":               {own: costStream},
		"AlertSilence.sender":        {own: costStream},
		"Actor.name":                 {own: 10},
		"Metrics.errorsByType":       {own: 1, items: items(10)},
		"Operation.refused":          {own: 1, items: items(100)},
		"ReadModel.parked":           {own: costLookup, items: items(20)},
		"OutgoingWebhook.deliveries": {own: costPage, items: first(defaultPage, query.MaxPage), each: 5},

		// The introspection fields, with the sizes of this schema.
		"Query.__schema": {own: 10}, "Query.__type": {own: 10},
		"__Schema.types": {own: 1, items: items(130)}, "__Schema.directives": {own: 1, items: items(8)},
		"__Type.fields": {own: 1, items: items(6)}, "__Type.inputFields": {own: 1, items: items(2)},
		"__Type.enumValues": {own: 1, items: items(2)}, "__Type.interfaces": {own: 1}, "__Type.possibleTypes": {own: 1},
		"__Field.args": {own: 1}, "__Directive.args": {own: 1},
	}
}

// otherItems is the assumed number of items in a list that is not in weights.
const otherItems = 10

func items(n int) func(map[string]any) int { return func(map[string]any) int { return n } }

// first returns the number of items that the argument "first" requests.
func first(otherwise, most int) func(map[string]any) int {
	return func(args map[string]any) int {
		if args["first"] == nil {
			return otherwise
		}
		n, err := graphql.UnmarshalInt(args["first"]) // a variable can be a string
		if err != nil {
			return most
		}
		return min(max(n, 1), most)
	}
}

// length returns the length of a list argument.
func length(name string, most int) func(map[string]any) int {
	return func(args map[string]any) int {
		list, _ := args[name].([]any)
		return min(max(len(list), 1), most)
	}
}

// seriesPoints returns the number of points of a series. Invalid arguments are rejected
// later.
func seriesPoints(args map[string]any) int {
	from, _ := UnmarshalTime(args["from"])
	to, _ := UnmarshalTime(args["to"])
	step, err := UnmarshalDuration(args["step"])
	if err != nil || step < time.Second {
		step = time.Minute
	}
	return int(min(max(to.Sub(from)/step, 1), query.MaxPoints))
}

// costLimit rejects operations that cost more than maxCost.
type costLimit struct {
	weights map[string]weight
}

var _ graphql.OperationContextMutator = costLimit{}

// ExtensionName names the extension to gqlgen.
func (costLimit) ExtensionName() string { return "CostLimit" }

// Validate has nothing to check in the schema.
func (costLimit) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext checks the cost of the operation and changes nothing.
func (l costLimit) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	c := costs{weights: l.weights, variables: op.Variables, memo: map[spread]int{}}
	total := c.set(op.Operation.SelectionSet, false)
	if total <= maxCost {
		return nil
	}
	most, of := c.dearest(op.Operation.SelectionSet)
	return overLimit("the operation costs %s points; the limit is %d; most of them, %s, are for %q; "+
		"request fewer items with first, fewer fields of each item, or use several requests",
		shownCount(total), maxCost, shownCount(most), of)
}

// costs adds up the cost of a valid operation. Each fragment is added up once for lists
// and once for other places.
type costs struct {
	weights   map[string]weight
	variables map[string]any
	memo      map[spread]int
}

type spread struct {
	fragment string
	listed   bool
}

func (c costs) set(set ast.SelectionSet, listed bool) int {
	total := 0
	for _, s := range set {
		total = addUp(total, c.selection(s, listed))
	}
	return total
}

func (c costs) selection(s ast.Selection, listed bool) int {
	switch s := s.(type) {
	case *ast.Field:
		return c.field(s, listed)
	case *ast.InlineFragment:
		return c.set(s.SelectionSet, listed)
	case *ast.FragmentSpread:
		key := spread{s.Name, listed}
		known, ok := c.memo[key]
		if !ok {
			known = c.set(s.Definition.SelectionSet, listed)
			c.memo[key] = known
		}
		return known
	}
	return 0
}

func (c costs) field(f *ast.Field, listed bool) int {
	w, known := c.weights[f.ObjectDefinition.Name+"."+f.Name]
	if !known {
		w.own = 1
		if f.Definition.Type.Elem != nil {
			w.items = items(otherItems)
		}
	}
	if listed {
		w.own += w.listed
	}
	n := 1
	if w.items != nil || w.asOf > 0 {
		args := f.ArgumentMap(c.variables)
		if w.items != nil {
			n = w.items(args)
		}
		if args["asOf"] != nil {
			w.own += w.asOf
		}
	}
	listed = listed || strings.HasSuffix(f.Definition.Type.Name(), "Connection")
	return addUp(w.own, multiply(n, addUp(w.each, c.set(f.SelectionSet, listed))))
}

// dearest returns the most expensive root field.
func (c costs) dearest(set ast.SelectionSet) (most int, of string) {
	for _, s := range set {
		if n := c.selection(s, false); n > most {
			most = n
			switch s := s.(type) {
			case *ast.Field:
				of = s.Alias
			case *ast.FragmentSpread:
				of = "..." + s.Name
			case *ast.InlineFragment:
				_, of = c.dearest(s.SelectionSet)
			}
		}
	}
	return most, of
}
