package whatsapp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
)

// file serves metadata with a URL of a file, and files at other paths.
func file(t *testing.T, size string, target func(host string) string, download http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v25.0/77", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("phone_number_id") != phoneNumberID || r.Header.Get("Authorization") != "Bearer tok" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		fmt.Fprintf(w, `{"messaging_product":"whatsapp","url":%q,"mime_type":"image/png","file_size":%s,"id":"77"}`, target("http://"+r.Host), size)
	})
	mux.HandleFunc("GET /v25.0/78", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":{"message":"Unsupported get request. Object with ID '78' does not exist","code":100,"error_subcode":33}}`)
	})
	mux.HandleFunc("/", download)
	return serve(t, mux.ServeHTTP) + "/v25.0"
}

func TestMedia(t *testing.T) {
	own := func(host string) string { return host + "/f" }
	word := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer tok" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		io.WriteString(w, "bytes")
	}
	foreign := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a foreign host was asked for %s, with %q", r.URL, r.Header.Get("Authorization"))
	})
	for name, tc := range map[string]struct {
		id, size string
		target   func(string) string
		download http.HandlerFunc
		code     domain.Code
		reads    bool // whether the error comes while reading
	}{
		"found":              {"77", `"5"`, own, word, "", false},
		"a number as size":   {"77", `5`, own, word, "", false},
		"unknown":            {"78", `5`, own, word, domain.CodeNotFound, false},
		"expired":            {"77", `5`, own, http.NotFound, domain.CodeNotFound, false},
		"too large":          {"77", `"104857601"`, own, word, domain.CodeTooLarge, false},
		"larger than named":  {"77", `5`, own, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "104857601") }, domain.CodeTooLarge, false},
		"at a foreign host":  {"77", `5`, func(string) string { return foreign }, word, domain.CodeUnavailable, false},
		"with a user":        {"77", `5`, func(h string) string { return strings.Replace(h, "http://", "http://a@", 1) }, word, domain.CodeUnavailable, false},
		"redirected abroad":  {"77", `5`, own, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, foreign+"/x", http.StatusFound) }, domain.CodeUnavailable, false},
		"redirected forever": {"77", `5`, own, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/g", http.StatusFound) }, domain.CodeUnavailable, false},
		"redirected": {"77", `5`, own, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/f" {
				http.Redirect(w, r, "/g", http.StatusFound)
				return
			}
			word(w, r)
		}, "", false},
		"a server error": {"77", `5`, own, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, domain.CodeUnavailable, false},
		"without progress": {"77", `5`, own, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "by")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "", true},
	} {
		patience := time.Minute
		if tc.reads {
			patience = 200 * time.Millisecond
		}
		c := newClient(t, file(t, tc.size, tc.target, tc.download), patience)
		m, err := c.Media(t.Context(), phoneNumberID, "tok", tc.id)
		if got := domain.CodeOf(err); got != tc.code {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if err != nil {
			continue
		}
		body, err := io.ReadAll(m.Body)
		if tc.reads {
			if err == nil {
				t.Errorf("%s: read %q", name, body)
			}
		} else if err != nil || string(body) != "bytes" || m.Type != "image/png" || m.Size != 5 {
			t.Errorf("%s: %q %v, %+v", name, body, err, m)
		}
		m.Body.Close()
	}
}

func TestMarkRead(t *testing.T) {
	var body string
	answer, status := `{"success":true}`, http.StatusOK
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		read, _ := io.ReadAll(r.Body)
		body = r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization") + " " + string(read)
		w.WriteHeader(status)
		io.WriteString(w, answer)
	})
	c := newClient(t, url+"/v25.0", time.Minute)
	for typing, want := range map[bool]string{
		false: `POST /v25.0/1/messages Bearer tok {"messaging_product":"whatsapp","status":"read","message_id":"wamid.x"}`,
		true:  `POST /v25.0/1/messages Bearer tok {"messaging_product":"whatsapp","status":"read","message_id":"wamid.x","typing_indicator":{"type":"text"}}`,
	} {
		if err := c.MarkRead(t.Context(), "1", "tok", "wamid.x", typing); err != nil || body != want {
			t.Errorf("%v\n got %s\nwant %s", err, body, want)
		}
	}
	for text, code := range map[string]domain.Code{
		`400 {"error":{"code":131009,"message":"(#131009) Parameter value is not valid"}}`: domain.CodeConflict,
		`401 {"error":{"code":190,"message":"token"}}`:                                     domain.CodeConflict,
		`400 {"error":{"code":130429,"message":"rate"}}`:                                   domain.CodeUnavailable,
		`500 `:       domain.CodeUnavailable,
		`200 <html>`: domain.CodeUnavailable,
	} {
		fmt.Sscan(text, &status)
		answer = text[4:]
		if err := c.MarkRead(t.Context(), "1", "tok", "wamid.x", false); domain.CodeOf(err) != code || strings.Contains(err.Error(), "tok ") {
			t.Errorf("%s: %v", text, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.MarkRead(ended, "1", "tok", "wamid.x", false); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("after the end of the request: %v", err)
	}
}
