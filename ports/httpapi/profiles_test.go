package httpapi_test

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/waypost/waypost/ports/httpapi"
)

// stringTable returns the string table of a profile, which is its field 6.
func stringTable(t *testing.T, body io.Reader) (table []string) {
	t.Helper()
	unzipped, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(number, kind, raw[n:])
		if size < 0 {
			t.Fatal(protowire.ParseError(size))
		}
		if number == 6 {
			text, _ := protowire.ConsumeBytes(raw[n:])
			table = append(table, string(text))
		}
		raw = raw[n+size:]
	}
	return table
}

func TestProfiles(t *testing.T) {
	on := httpapi.New(httpapi.Options{
		Profiles: httpapi.NewProfiles(t.Context()), Internal: true, Logger: slog.New(slog.DiscardHandler),
	}).Handler()
	off := httpapi.New(httpapi.Options{Internal: true, Logger: slog.New(slog.DiscardHandler)}).Handler()
	for _, tc := range []struct {
		handler http.Handler
		path    string
		code    int
		names   string // in the profile's strings, if it is one
	}{
		{on, "/debug/pprof/allocs", http.StatusOK, "alloc_space"},
		{on, "/debug/pprof/heap", http.StatusOK, "inuse_space"},
		{on, "/debug/pprof/profile?seconds=1", http.StatusOK, "cpu"},
		{on, "/debug/pprof/", http.StatusOK, ""},
		{on, "/debug/pprof/trace?seconds=0.01", http.StatusOK, ""},
		{on, "/debug/pprof/cmdline", http.StatusNotFound, ""},
		{on, "/debug/pprof/unknown", http.StatusNotFound, ""},
		{on, "/debug/pprof/profile?seconds=301", http.StatusBadRequest, ""},
		{on, "/debug/pprof/heap?seconds=many", http.StatusBadRequest, ""},
		{off, "/debug/pprof/", http.StatusNotFound, ""},
		{off, "/debug/pprof/allocs", http.StatusNotFound, ""},
	} {
		w := httptest.NewRecorder()
		tc.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tc.path, nil))
		if w.Code != tc.code {
			t.Errorf("%s: %d %s, want %d", tc.path, w.Code, w.Body, tc.code)
			continue
		}
		if tc.names != "" {
			if table := strings.Join(stringTable(t, w.Body), "\n"); !strings.Contains(table, tc.names) {
				t.Errorf("%s: the profile contains no %s: %.500s", tc.path, tc.names, table)
			}
		}
	}
}

// A profile that is being recorded must not delay the end of the process.
func TestProfilesEndWithTheServer(t *testing.T) {
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	httpapi.NewProfiles(stop).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/pprof/profile?seconds=300", nil))
	if w.Code != http.StatusOK || len(stringTable(t, w.Body)) == 0 {
		t.Errorf("the interrupted profile is %d; want what was recorded", w.Code)
	}
}
