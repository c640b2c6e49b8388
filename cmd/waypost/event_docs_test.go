package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/invopop/jsonschema"

	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/domain"
)

//go:generate go test . -run TestEventDocs -update

var update = flag.Bool("update", false, "write the generated documents instead of comparing them")

const (
	eventPage    = "docs/events.md"
	eventSchemas = "docs/events.schema.json"
)

// streamsOf returns the streams that contain the events of a package.
func streamsOf(pkg string) string {
	return map[string]string{
		"message":      "`message-{uuid}`, one per message",
		"sender":       "`sender-{id}`, and `number-{phoneNumberId}` for NumberClaimed",
		"inbound":      "`inbound-{phoneNumberId}`, `echo-{phoneNumberId}`, `receipt-{phoneNumberId}`, `orphan-{phoneNumberId}`, `account-{businessAccountId}`, `parked-{yyyymmdd}`",
		"identity":     "`identity-{businessAccountId}`",
		"conversation": "`marketing-{senderId}`",
		"event":        "`waypost-log`, `waypost-log-end` for lost events, and `erasure-…` for erasures",
		"operation":    "`operation-{uuid}`, one per bulk operation",
		"audit":        "`access-{yyyymmdd}`",
		"access":       "`key-{id}`, one per API key",
		"alert":        "`alert-{id}`, `rule-{id}`, and `silence-{uuid}`",
		"campaign":     "`campaign-pauses`",
		"hook":         "`hook-{uuid}`, one per outgoing webhook",
		"template":     "`template-{businessAccountId}-{name}-{language}`, one per message template and language, and `templates-{businessAccountId}` for TemplatesListed",
	}[pkg]
}

// TestEventDocs checks that docs/events.md and its schemas match the registered events.
func TestEventDocs(t *testing.T) {
	t.Chdir("../..")
	reflector := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: true, DoNotReference: true,
		Mapper: func(typ reflect.Type) *jsonschema.Schema {
			switch typ {
			case reflect.TypeFor[uuid.UUID]():
				return &jsonschema.Schema{Type: "string", Format: "uuid"}
			case reflect.TypeFor[json.RawMessage]():
				return &jsonschema.Schema{Description: "Any JSON."}
			}
			return nil
		},
	}
	for _, dir := range []string{"./domain", "./app/event"} {
		if err := reflector.AddGoComments("github.com/waypost/waypost", dir); err != nil {
			t.Fatal(err)
		}
	}
	var page bytes.Buffer
	page.WriteString(eventPageHead)
	schemas := make(map[string]*jsonschema.Schema)
	for _, group := range platform.EventTypes() {
		typ := goType(t, group[0])
		pkg := path.Base(typ.PkgPath())
		streams := streamsOf(pkg)
		if streams == "" {
			t.Fatalf("streamsOf does not say where the events of %s stand", typ.PkgPath())
		}
		fmt.Fprintf(&page, "\n## %s\n\nStreams: %s.\n\n| event | version | what it records | members |\n| --- | --- | --- | --- |\n", pkg, streams)
		for _, et := range group {
			typ := goType(t, et)
			schema := reflector.ReflectFromType(typ)
			schema.Version, schema.ID = "", ""
			schemas[et.Name] = schema
			fmt.Fprintf(&page, "| `%s` | %d | %s | %s |\n", et.Name, et.Version, firstParagraph(schema.Description, typ.Name()), members(schema))
		}
	}
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "Data of Waypost's events, by type, as they are read with their personal members open",
		"$defs":   schemas,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compareDocument(t, eventPage, page.Bytes())
	compareDocument(t, eventSchemas, append(text, '\n'))
}

const eventPageHead = `# The events of the log

Generated from Waypost's registry by ` + "`make generate`" + `. Their JSON schemas are in
[events.schema.json](events.schema.json). Type names are unique across all streams. An event's shape
can gain members. A change that an older reader would misread gets a new version, in the metadata as
` + "`v`" + `.

The metadata of every event: ` + "`v`, `recordedAt` (Waypost's clock), `occurredAt` if that is a different\ntime, `sender`, `$correlationId` (the message), `$causationId` (the event, request or webhook delivery\nbehind it), `by` (kind, id), `onBehalfOf`, `traceparent`" + `. Names and metadata contain nothing personal.

All personal data is in the member ` + "`personal`" + ` of the data. In the log, it is sealed with a data key of the
person. The schemas show it unsealed. It is null after the person was erased.
`

// goType returns the Go type of an event type.
func goType(t *testing.T, et domain.Type) reflect.Type {
	t.Helper()
	e, err := et.Decode([]byte("{}"))
	if err != nil {
		t.Fatalf("%s: %v", et.Name, err)
	}
	return reflect.TypeOf(e)
}

// firstParagraph returns the first paragraph of a comment without the type's name at its beginning.
func firstParagraph(comment, name string) string {
	comment, _, _ = strings.Cut(comment, "\n\n")
	comment = strings.TrimPrefix(strings.Join(strings.Fields(comment), " "), name+" ")
	return strings.ReplaceAll(strings.ToUpper(comment[:min(1, len(comment))])+comment[min(1, len(comment)):], "|", "\\|")
}

// members returns the names of an event's members, with those of personal after it.
func members(s *jsonschema.Schema) string {
	var names []string
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		name := "`" + p.Key + "`"
		if p.Key == "personal" && p.Value.Properties != nil {
			var inner []string
			for q := p.Value.Properties.Oldest(); q != nil; q = q.Next() {
				inner = append(inner, "`"+q.Key+"`")
			}
			name += " (" + strings.Join(inner, ", ") + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// compareDocument holds a file to be as generated, or writes it.
func compareDocument(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the events make of it (%v): run make generate", file, err)
	}
}
