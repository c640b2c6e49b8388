package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// commandVersion is the version of a command's shape, its member "v".
	commandVersion = "1"
	// commandInput is the input whose fields a command has.
	commandInput = "QueueMessageInput"
)

// CommandParser reads commands to queue a message as they come over a broker:
// the fields of QueueMessageInput as JSON, beside the version of the shape. It is
// the very input of queueMessage, with its defaults and checks, so that what one
// way takes the other takes too. It is safe for concurrent use.
type CommandParser struct {
	schema    *ast.Schema
	operation *ast.OperationDefinition
	input     *executionContext
}

// NewCommandParser makes a parser over the served schema.
func NewCommandParser() *CommandParser {
	served := NewExecutableSchema(Config{})
	execution, _ := served.(*executableSchema) // it is what NewExecutableSchema answers
	return &CommandParser{
		schema: served.Schema(),
		operation: &ast.OperationDefinition{VariableDefinitions: ast.VariableDefinitionList{{
			Variable:   "command",
			Type:       ast.NonNullNamedType(commandInput, nil),
			Definition: served.Schema().Types[commandInput],
		}}},
		input: newExecutionContext(&graphql.OperationContext{}, execution, nil),
	}
}

// Parse reads one command. Every error is a *domain.Error with CodeInvalidInput
// that names the field at fault.
func (p *CommandParser) Parse(raw []byte) (message.Request, error) {
	fields, err := commandFields(raw)
	if err != nil {
		return message.Request{}, err
	}
	values, err := validator.VariableValues(p.schema, p.operation, map[string]any{"command": fields})
	if err != nil {
		return message.Request{}, commandError(err)
	}
	if err := oneContent(values["command"]); err != nil {
		return message.Request{}, err
	}
	in, err := p.input.unmarshalInputQueueMessageInput(context.Background(), values["command"]) //nolint:forbidigo // it decodes what is in memory and waits for nothing
	if err != nil {
		return message.Request{}, commandError(err)
	}
	return requestOf(in)
}

// commandFields is the command without its version.
func commandFields(raw []byte) (map[string]any, error) {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil || fields == nil {
		return nil, domain.Invalid("", "is no JSON object; see docs/commands.schema.json for what a command looks like")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, domain.Invalid("", "has something behind its JSON object; send one command in each message")
	}
	if v, ok := fields["v"].(json.Number); !ok || v.String() != commandVersion {
		return nil, domain.Invalid("v", "is not %s, the version of commands that this program knows", commandVersion)
	}
	delete(fields, "v")
	return fields, nil
}

// commandError tells an error of the schema in the platform's own terms.
func commandError(err error) error {
	var schema *gqlerror.Error
	if !errors.As(err, &schema) {
		return domain.Invalid("", "%s", err.Error())
	}
	path := schema.Path
	if len(path) > 0 && path[0] == ast.PathName("variable") {
		path = path[min(2, len(path)):] // "variable", and the variable's name
	}
	return domain.Invalid(path.String(), "%s", schema.Message)
}
