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
	// commandVersion is the version of the command format, its member "v". Version 2 made "to"
	// optional and added members. Commands of version 1 mean the same in it.
	commandVersion      = "2"
	firstCommandVersion = "1"
	// commandInput is the input whose fields a command has.
	commandInput = "QueueMessageInput"
)

// CommandParser parses commands to queue a message as they arrive over a broker: the
// fields of QueueMessageInput as JSON, plus the version of the format. It uses the same
// input as queueMessage, with its defaults and checks, so that both accept the same
// messages. It is safe for concurrent use.
type CommandParser struct {
	schema    *ast.Schema
	operation *ast.OperationDefinition
	input     *executionContext
}

// NewCommandParser returns a parser for the served schema.
func NewCommandParser() *CommandParser {
	served := NewExecutableSchema(Config{})
	execution, _ := served.(*executableSchema) // NewExecutableSchema returns this type
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

// Parse parses one command. Every error is a *domain.Error with CodeInvalidInput that
// names the invalid field.
func (p *CommandParser) Parse(raw []byte) (message.Request, error) {
	fields, err := commandFields(raw)
	if err != nil {
		return message.Request{}, err
	}
	values, err := validator.VariableValues(p.schema, p.operation, map[string]any{"command": fields})
	if err != nil {
		return message.Request{}, commandError(err)
	}
	makeExact(p.schema, p.operation, values)
	if err := oneContent(values["command"]); err != nil {
		return message.Request{}, err
	}
	in, err := p.input.unmarshalInputQueueMessageInput(context.Background(), values["command"]) //nolint:forbidigo // it decodes what is in memory and waits for nothing
	if err != nil {
		return message.Request{}, commandError(err)
	}
	return requestOf(in)
}

// commandFields returns the command without its version.
func commandFields(raw []byte) (map[string]any, error) {
	if err := domain.CheckEncoding(raw); err != nil {
		return nil, err
	}
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil || fields == nil {
		return nil, domain.Invalid("", "must be a JSON object; see docs/commands.schema.json for the format")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, domain.Invalid("", "must contain nothing after its JSON object; send one command per message")
	}
	if v, ok := fields["v"].(json.Number); !ok || v.String() != commandVersion && v.String() != firstCommandVersion {
		return nil, domain.Invalid("v", "must be %s or %s, the supported versions of commands", firstCommandVersion, commandVersion)
	}
	delete(fields, "v")
	return fields, nil
}

// commandError converts an error of the schema to the public form.
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
