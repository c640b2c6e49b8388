package graph

import (
	"bytes"
	"encoding/json"

	"github.com/vektah/gqlparser/v2/ast"
)

// CommandSchema returns the JSON Schema (2020-12) of commands to queue a message,
// derived from the served schema: the input of [CommandParser].
func CommandSchema() ([]byte, error) {
	schema := NewExecutableSchema(Config{}).Schema()
	definitions := map[string]any{}
	root := objectSchema(schema, schema.Types[commandInput], definitions)
	delete(definitions, commandInput)
	properties, _ := root["properties"].(map[string]any)
	properties["v"] = map[string]any{
		"enum":        []json.Number{firstCommandVersion, commandVersion},
		"description": "The version of the command format. 2 is current; in 1, to was required.",
	}
	required, _ := root["required"].([]string)
	root["required"] = append([]string{"v"}, required...)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "A command to queue a message, on the topic waypost.commands"
	root["$defs"] = definitions
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root)
	return out.Bytes(), err
}

// objectSchema returns the schema of an input object and adds to definitions the types that
// it refers to.
func objectSchema(schema *ast.Schema, object *ast.Definition, definitions map[string]any) map[string]any {
	properties := map[string]any{}
	required := []string{}
	for _, f := range object.Fields {
		p := typeSchema(schema, f.Type, definitions)
		p["description"] = f.Description
		if f.DefaultValue != nil {
			p["default"] = f.DefaultValue.Raw
			if f.DefaultValue.Kind == ast.BooleanValue {
				p["default"] = f.DefaultValue.Raw == "true"
			}
		}
		properties[f.Name] = p
		if f.Type.NonNull && f.DefaultValue == nil {
			required = append(required, f.Name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if object.Directives.ForName("oneOf") != nil {
		out["minProperties"], out["maxProperties"] = 1, 1
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// typeSchema returns the schema of a field's type.
func typeSchema(schema *ast.Schema, t *ast.Type, definitions map[string]any) map[string]any {
	if t.Elem != nil {
		return map[string]any{"type": "array", "items": typeSchema(schema, t.Elem, definitions)}
	}
	switch t.NamedType {
	case "Int":
		return map[string]any{"type": "integer"}
	case "Float":
		return map[string]any{"type": "number"}
	case "Boolean":
		return map[string]any{"type": "boolean"}
	case "String", "ID":
		return map[string]any{"type": "string"}
	case "Time":
		return map[string]any{"type": "string", "format": "date-time"}
	case "Duration":
		return map[string]any{"type": "string", "format": "duration"}
	}
	def := schema.Types[t.NamedType]
	switch def.Kind {
	case ast.Enum:
		values := make([]string, len(def.EnumValues))
		for i, v := range def.EnumValues {
			values[i] = v.Name
		}
		return map[string]any{"enum": values}
	case ast.InputObject:
		if _, known := definitions[def.Name]; !known {
			definitions[def.Name] = nil // it can refer to itself
			o := objectSchema(schema, def, definitions)
			o["description"] = def.Description
			definitions[def.Name] = o
		}
		return map[string]any{"$ref": "#/$defs/" + def.Name}
	default: // any other scalar is any JSON that its field accepts
		return map[string]any{}
	}
}
