package graph

import (
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// exactVariables is the extension that calls makeExact for every operation.
type exactVariables struct{ schema *ast.Schema }

var _ graphql.OperationContextMutator = exactVariables{}

// ExtensionName names the extension to gqlgen.
func (exactVariables) ExtensionName() string { return "ExactVariables" }

// Validate has nothing to check in the schema.
func (exactVariables) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext changes the values of the operation's variables.
func (e exactVariables) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	makeExact(e.schema, op.Operation, op.Variables)
	return nil
}

// makeExact changes the values of variables to those that a literal would have. gqlparser
// leaves enum values in the case in which they are given, and accepts any. For a single
// value that is given for a list, it makes a slice of the value's type.
func makeExact(schema *ast.Schema, op *ast.OperationDefinition, variables map[string]any) {
	for _, v := range op.VariableDefinitions {
		if value, ok := variables[v.Variable]; ok {
			variables[v.Variable] = exact(schema, v.Type, value)
		}
	}
}

// exact returns the value that has been validated as one of the type. It changes lists
// and objects in place.
func exact(schema *ast.Schema, typ *ast.Type, value any) any {
	if value == nil {
		return nil
	}
	if typ.Elem != nil {
		list := graphql.CoerceList(value)
		for i, e := range list {
			list[i] = exact(schema, typ.Elem, e)
		}
		return list
	}
	switch def := schema.Types[typ.NamedType]; def.Kind {
	case ast.Enum:
		given, _ := value.(string)
		for _, e := range def.EnumValues {
			if strings.EqualFold(given, e.Name) {
				return e.Name
			}
		}
	case ast.InputObject:
		fields, _ := value.(map[string]any)
		for _, f := range def.Fields {
			if inner, ok := fields[f.Name]; ok {
				fields[f.Name] = exact(schema, f.Type, inner)
			}
		}
	case ast.Scalar, ast.Object, ast.Interface, ast.Union:
	}
	return value
}
