package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/domain"
)

//go:generate go test . -run TestEventsKeepTheirShape -update

const eventShapes = "testdata/events"

// TestEventsKeepTheirShape enforces the rule of docs/upgrading.md: an event may gain
// members, but a member is never removed, renamed, or given another type, and a type that
// was ever written is never removed. Each type and version has a golden file with all its
// members set, which every later version decodes in full. Updating adds files and members;
// it never changes what is there.
func TestEventsKeepTheirShape(t *testing.T) {
	known := make(map[string]bool)
	for _, group := range platform.EventTypes() {
		for _, et := range group {
			name := et.Name + ".v" + strconv.Itoa(et.Version) + ".json"
			known[name] = true
			t.Run(et.Name, func(t *testing.T) { checkEventShape(t, et, filepath.Join(eventShapes, name)) })
		}
	}
	files, err := os.ReadDir(eventShapes)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f.Name()] {
			t.Errorf("%s: the log may hold such events, but no registered type reads them", f.Name())
		}
	}
}

func checkEventShape(t *testing.T, et domain.Type, path string) {
	typ := goType(t, et)
	golden := readJSON(t, path)
	full := asJSON(t, sample(t, typ, typ.Name()).Interface())
	if *update {
		golden = merge(golden, full)
		text, err := json.MarshalIndent(golden, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if missing := missingMember("", full, golden); missing != "" {
		t.Errorf("%s lacks the member %s: run make generate", path, missing)
	}
	text, err := json.Marshal(golden)
	if err != nil {
		t.Fatal(err)
	}
	decoded := reflect.New(typ)
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(decoded.Interface()); err != nil {
		t.Fatalf("%s is in logs and can no longer be read in full: %v", path, err)
	}
	asRead, err := et.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if missing := missingMember("", golden, asJSON(t, asRead)); missing != "" {
		t.Errorf("read and written again, %s lacks the member %s", path, missing)
	}
}

func readJSON(t *testing.T, path string) (v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

func asJSON(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// merge returns old with the members that only fresh has.
func merge(old, fresh any) any {
	switch fresh := fresh.(type) {
	case map[string]any:
		merged, ok := old.(map[string]any)
		if !ok {
			return fresh
		}
		for name, value := range fresh {
			merged[name] = merge(merged[name], value)
		}
		return merged
	case []any:
		if list, ok := old.([]any); ok && len(list) > 0 && len(fresh) > 0 {
			list[0] = merge(list[0], fresh[0])
			return list
		}
	}
	if old != nil {
		return old
	}
	return fresh
}

// missingMember returns the path of a member of want that got lacks or has with another
// JSON type, or "" if there is none.
func missingMember(path string, want, got any) string {
	if reflect.TypeOf(want) != reflect.TypeOf(got) {
		return path
	}
	switch want := want.(type) {
	case map[string]any:
		for name, value := range want {
			if missing := missingMember(strings.TrimPrefix(path+"."+name, "."), value, got.(map[string]any)[name]); missing != "" {
				return missing
			}
		}
	case []any:
		if other := got.([]any); len(want) > 0 {
			if len(other) == 0 {
				return path
			}
			return missingMember(path+"[0]", want[0], other[0])
		}
	}
	return ""
}

// sample returns a value of a type with every exported field set.
func sample(t *testing.T, typ reflect.Type, name string) reflect.Value {
	t.Helper()
	v := reflect.New(typ).Elem()
	switch typ {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)))
		return v
	case reflect.TypeFor[uuid.UUID]():
		v.Set(reflect.ValueOf(uuid.MustParse("01a22cf8-002c-722a-bf46-59d59c8585fd")))
		return v
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(`{"body":"Hello"}`))
		return v
	}
	switch typ.Kind() {
	case reflect.Struct:
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() {
				v.Field(i).Set(sample(t, f.Type, name+"."+f.Name))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		v.Elem().Set(sample(t, typ.Elem(), name))
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("bytes"))
			break
		}
		v.Set(reflect.Append(v, sample(t, typ.Elem(), name)))
	case reflect.Map:
		v.Set(reflect.MakeMap(typ))
		v.SetMapIndex(sample(t, typ.Key(), name), sample(t, typ.Elem(), name))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).Set(sample(t, typ.Elem(), name))
		}
	default:
		t.Fatalf("%s has type %s, of which there is no sample", name, typ)
	}
	return v
}
