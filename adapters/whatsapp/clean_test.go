package whatsapp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/domain"
)

// maxKept is larger than the kept part of any text from WhatsApp, in bytes.
const maxKept = 5 << 10

// dirty reports every text in a value that must not be in an event. Raw bodies are kept unchanged.
func dirty(t *testing.T, at string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		if strings.HasSuffix(at, ".Raw") {
			return
		}
		if err := domain.CheckLines(at, v.String(), 0, maxKept); err != nil {
			t.Errorf("%v", err)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			dirty(t, at, v.Elem())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			dirty(t, at+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			dirty(t, fmt.Sprintf("%s.%d", at, i), v.Index(i))
		}
	default:
	}
}

// variants calls use with the JSON document once for each text in it, with the suffix appended to that text.
func variants(document any, suffix string, use func(what string, body []byte)) {
	var walk func(at string, node any, set func(any))
	walk = func(at string, node any, set func(any)) {
		switch v := node.(type) {
		case string:
			set(v + suffix)
			body, err := json.Marshal(document)
			if err != nil {
				panic(err)
			}
			set(v)
			use(at, body)
		case []any:
			for i := range v {
				walk(fmt.Sprintf("%s.%d", at, i), v[i], func(n any) { v[i] = n })
			}
		case map[string]any:
			for name := range v {
				walk(at+"."+name, v[name], func(n any) { v[name] = n })
			}
		}
	}
	walk("", document, func(any) {})
}

var hostileSuffixes = []string{"\x00", "\u0085\x7f", strings.Repeat("a\x00", 20_000)}

// files calls use with each document of a directory.
func files(t *testing.T, pattern string, use func(name string, document any)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var document any
		if json.Unmarshal(data, &document) == nil {
			use(path, document)
		}
	}
}

// A webhook with control characters or very long texts results in values that an event can contain.
func TestWebhooksAreCleaned(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	rows := table(t)
	files(t, "webhooks/*.json", func(name string, document any) {
		for _, suffix := range hostileSuffixes {
			variants(document, suffix, func(what string, body []byte) {
				dirty(t, name+what, reflect.ValueOf(rows.ParseWebhook(body)))
			})
		}
	})
}

// Bytes that are not UTF-8 are kept unchanged, and the rest of the webhook is processed.
func TestAWebhookThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	body := []byte(`{"entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},
		"contacts":[{"wa_id":"3","profile":{"name":"J` + "\xfc" + `rgen"}}],"messages":[{"id":"wamid.1","from":"3","type":"text","text":{"body":"Gr` + "\xfc\xdf" + `e"}}]}}]}]}`)
	d := table(t).ParseWebhook(body)
	if len(d.Parked) != 1 || string(d.Parked[0].Raw) != string(body) || !strings.Contains(d.Parked[0].Reason, "UTF-8") {
		t.Errorf("parked %+v", d.Parked)
	}
	if len(d.Inbound) != 1 || d.Inbound[0].Name != "J\ufffdrgen" || !json.Valid(d.Inbound[0].Raw) || !strings.Contains(string(d.Inbound[0].Raw), "Gr\ufffde") {
		t.Errorf("inbound %+v", d.Inbound)
	}
}

// The same holds for responses to calls, and for the trace ID in their headers.
func TestAnswersAreCleaned(t *testing.T) {
	t.Parallel()
	var status int
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Fb-Trace-Id", "Gr\xfc\xdfe"+strings.Repeat("x", 8<<10))
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	client, err := whatsapp.NewClient(whatsapp.Options{URL: server.URL, Errors: table(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	files(t, "responses/*.json", func(name string, document any) {
		for _, suffix := range hostileSuffixes {
			for _, status = range []int{200, 400} {
				variants(document, suffix, func(what string, answer []byte) {
					body = answer
					dirty(t, name+what, reflect.ValueOf(client.Send(t.Context(), whatsapp.Call{PhoneNumberID: "1", Body: []byte(`{}`)})))
				})
			}
		}
	})
	status, body = 418, []byte("\xff")
	dirty(t, "a response without a code", reflect.ValueOf(client.Send(t.Context(), whatsapp.Call{PhoneNumberID: "1", Body: []byte(`{}`)})))
}
