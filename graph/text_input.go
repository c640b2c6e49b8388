package graph

import (
	"context"
	"math"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"github.com/waypost/waypost/domain"
)

// maxText is the maximum length of one text in an argument, in characters. The meaning
// of a text usually allows much less. This limits texts without further requirements.
const maxText = 64 << 10

// checksEach reports whether a field reports on each of its inputs separately, so that
// a rejected input does not prevent the others from being queued.
func checksEach(field string) bool { return field == "queueMessages" || field == "checkMessages" }

// checkArguments is the field middleware that checks every text in a field's arguments,
// whatever its meaning, including filters, IDs, and future fields.
func checkArguments(ctx context.Context, next graphql.Resolver) (any, error) {
	field := graphql.GetFieldContext(ctx).Field
	if len(field.Arguments) > 0 && !checksEach(field.Name) {
		args := field.ArgumentMap(graphql.GetOperationContext(ctx).Variables)
		if err := domain.CheckValue("", args, maxText); err != nil {
			return nil, err
		}
	}
	return next(ctx)
}

// checkEach checks the texts of each input of such a field and returns the errors.
func checkEach(ctx context.Context, inputs int) []error {
	field := graphql.GetFieldContext(ctx).Field
	errs := make([]error, inputs)
	for i, input := range listed(field.ArgumentMap(graphql.GetOperationContext(ctx).Variables)["inputs"]) {
		if i < inputs {
			errs[i] = domain.CheckValue("", input, maxText)
		}
	}
	return errs
}

// checkRequest checks the encoding of a request, because the decoders would silently
// replace bytes that are not UTF-8.
func checkRequest(body []byte) error { return inRequest("request", domain.CheckEncoding(body)) }

// checkQuery checks the encoding of a document, because escapes in its strings are
// decoded a second time. Block strings have no escapes.
func checkQuery(query string) error {
	if !strings.Contains(query, `\u`) || strings.Contains(query, `"""`) {
		return nil
	}
	return inRequest("query", domain.CheckEncoding([]byte(query)))
}

func inRequest(what string, err error) error {
	if err == nil {
		return nil
	}
	return domain.Invalid("", "the %s %s", what, err.Error())
}

// errorCode checks a filter's error code, which is a 32-bit number in the read models.
func errorCode(field string, code *int) error {
	if code != nil && (*code > math.MaxInt32 || *code < math.MinInt32) {
		return domain.Invalid(field, "must be a 32-bit number, got %d", *code)
	}
	return nil
}
