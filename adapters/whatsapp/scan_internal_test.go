package whatsapp

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// scannedAsDecoded fails if a scan accepts JSON that json.Unmarshal rejects or reads in another way. It reports
// whether the scan accepted the JSON.
func scannedAsDecoded[T any](t interface{ Fatalf(string, ...any) }, data []byte, scan func(*T, []byte) bool) bool {
	var scanned, decoded T
	if !json.Valid(data) || !scan(&scanned, data) {
		return false
	}
	if err := json.Unmarshal(data, &decoded); err != nil {
		t.Fatalf("%s: scanned as %+v, although it %v", data, scanned, err)
	}
	// A nil slice and an empty one mean the same.
	if s, d := encoded(scanned), encoded(decoded); s != d {
		t.Fatalf("%s: scanned as\n%s\njson.Unmarshal has\n%s", data, s, d)
	}
	return true
}

func encoded(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return strings.ReplaceAll(string(data), ":[]", ":null")
}

func scanAll(t interface{ Fatalf(string, ...any) }, data []byte) {
	scannedAsDecoded(t, data, (*envelope).scan)
	scannedAsDecoded(t, data, (*messagesValue).scan)
	scannedAsDecoded(t, data, (*statusObject).scan)
}

// A scan reads what json.Unmarshal reads, or nothing.
func FuzzScan(f *testing.F) {
	files, err := filepath.Glob("testdata/webhooks/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no webhooks", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		scanAll(t, body)
		var e envelope
		if json.Unmarshal(body, &e) != nil {
			return
		}
		for _, entry := range e.Entry {
			for _, c := range entry.Changes {
				scanAll(t, c.Value)
				var v messagesValue
				if json.Unmarshal(c.Value, &v) != nil {
					continue
				}
				for _, s := range v.Statuses {
					scanAll(t, s)
				}
			}
		}
	})
}

// someValue draws the JSON of a value, with the names that a scan knows in usual and unusual places.
func someValue(names []string, depth int) *rapid.Generator[string] {
	plain := rapid.SampledFrom([]string{
		`"x"`, `""`, `"a\u0062"`, `"ä"`, "\"\xff\"", `" "`, `"\""`, `"1772553600"`, `1772553600`, `-1.5e3`, `0`, `true`, `null`, `[]`, `{}`, `[ null ]`,
	})
	if depth == 0 {
		return plain
	}
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t\r "})
	return rapid.Custom(func(t *rapid.T) string {
		around := func(text string) string { return space.Draw(t, "before") + text + space.Draw(t, "after") }
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return plain.Draw(t, "plain")
		case 1:
			inner := rapid.SliceOfN(someValue(names, depth-1), 0, 3).Draw(t, "elements")
			for i := range inner {
				inner[i] = around(inner[i])
			}
			return "[" + strings.Join(inner, ",") + "]"
		}
		inner := rapid.SliceOfN(someValue(names, depth-1), 0, 6).Draw(t, "members")
		for i := range inner {
			name := rapid.SampledFrom(names).Draw(t, "name")
			switch rapid.IntRange(0, 20).Draw(t, "spelling") {
			case 0:
				name = strings.ToUpper(name)
			case 1:
				name = strings.ReplaceAll(name, "s", "ſ")
			case 2:
				name = strings.ReplaceAll(name, "i", `\u0069`)
			}
			inner[i] = around(`"`+name+`"`) + ":" + around(inner[i])
		}
		return "{" + strings.Join(inner, ",") + "}"
	})
}

func TestScanIsJSONUnmarshal(t *testing.T) {
	var accepted [3]int
	for i, names := range [][]string{
		{"entry", "id", "time", "changes", "field", "value", "other"},
		{"metadata", "display_phone_number", "phone_number_id", "statuses", "messages", "errors", "contacts", "profile", "name", "wa_id", "user_id"},
		{"id", "status", "type", "timestamp", "recipient_id", "recipient_user_id", "biz_opaque_callback_data", "errors", "pricing", "category"},
	} {
		rapid.Check(t, func(t *rapid.T) {
			data := []byte(someValue(names, 4).Draw(t, "JSON"))
			ok := false
			switch i {
			case 0:
				ok = scannedAsDecoded(t, data, (*envelope).scan)
			case 1:
				ok = scannedAsDecoded(t, data, (*messagesValue).scan)
			case 2:
				ok = scannedAsDecoded(t, data, (*statusObject).scan)
			}
			if ok {
				accepted[i]++
			}
		})
	}
	for i, n := range accepted {
		if n == 0 {
			t.Errorf("scan %d accepted nothing, so nothing was compared", i)
		}
	}
}

// The scans read the webhooks that WhatsApp sends most.
func TestUsualStatusesAreScanned(t *testing.T) {
	for _, file := range []string{"status_sent.json", "status_delivered.json", "status_read.json"} {
		body, err := os.ReadFile(filepath.Join("testdata/webhooks", file))
		if err != nil {
			t.Fatal(err)
		}
		var e envelope
		var v messagesValue
		var s statusObject
		if !e.scan(body) || !v.scan(e.Entry[0].Changes[0].Value) || !s.scan(v.Statuses[0]) || reflect.ValueOf(s).IsZero() {
			t.Errorf("%s is not scanned: %+v, %+v", file, v, s)
		}
	}
}
