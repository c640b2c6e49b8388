package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/waypost/waypost/web"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func serve(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux() // as Waypost mounts them
	mux.Handle("/playground", web.Playground())
	mux.Handle("/", web.Page())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// A browser cuts a pasted text at maxlength without a word. The server's error says how long a text can be.
func TestNoFieldCutsWhatIsTyped(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("app/src/*/*.ts")
	if err != nil || len(sources) == 0 {
		t.Fatalf("sources %v: %v", sources, err)
	}
	for _, name := range sources {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(source)), "maxlength") {
			t.Errorf("%s limits the length of a field in the browser", name)
		}
	}
}

func TestPlaygroundIsServedFromTheProgramItself(t *testing.T) {
	t.Parallel()
	server := serve(t)
	status, page := get(t, server.URL+"/playground")
	if status != http.StatusOK {
		t.Fatalf("GET /playground: %d", status)
	}
	assets := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(assets) == 0 {
		t.Fatal("the page loads nothing")
	}
	for _, a := range assets {
		if !strings.HasPrefix(a[1], "/") || strings.HasPrefix(a[1], "//") {
			t.Errorf("%s is not served by Waypost", a[1])
			continue
		}
		if status, body := get(t, server.URL+a[1]); status != http.StatusOK || body == "" {
			t.Errorf("GET %s: %d, %d bytes", a[1], status, len(body))
		}
	}
}

// A page with missing files, or one that the policy prevents from running, is blank.
func TestPageIsServedWithAllItLoads(t *testing.T) {
	t.Parallel()
	server := serve(t)
	status, page := get(t, server.URL+"/")
	if status != http.StatusOK || !strings.Contains(page, "<title>Waypost</title>") {
		t.Fatalf("GET /: %d, %s", status, page)
	}
	if inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(?:[^>]*[^>c])?>\s*[^<\s]`).FindString(page); inline != "" {
		t.Errorf("the page contains %q, which its own policy forbids", inline)
	}
	assets := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(assets) < 3 {
		t.Fatalf("the page loads %q; want its icon, style, and script", assets)
	}
	for _, a := range assets {
		name := strings.TrimPrefix(a[1], "./")
		if strings.HasPrefix(name, "/") || strings.Contains(name, ":") {
			t.Errorf("%s is not relative to the page, which may be served under another path", a[1])
			continue
		}
		if status, body := get(t, server.URL+"/"+name); status != http.StatusOK || body == "" {
			t.Errorf("GET /%s: %d, %d bytes", name, status, len(body))
		}
	}
	if status, _ := get(t, server.URL+"/../web.go"); status != http.StatusNotFound {
		t.Errorf("a file outside the page: %d", status)
	}
}

func TestPageLoadsAndAsksNothingElsewhere(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	web.Page().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	policy := map[string]string{}
	for part := range strings.SplitSeq(w.Header().Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		policy[name] = value
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
		"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
	} {
		if policy[name] != want {
			t.Errorf("the policy's %s is %q; want %q", name, policy[name], want)
		}
	}
}

// A browser checks each time, and gets a short response while nothing has changed.
func TestPageIsNotSentTwice(t *testing.T) {
	t.Parallel()
	page := web.Page()
	first := httptest.NewRecorder()
	page.ServeHTTP(first, httptest.NewRequest(http.MethodGet, "/app.js", nil))
	tag := first.Header().Get("ETag")
	if first.Code != http.StatusOK || tag == "" || first.Header().Get("Cache-Control") != "no-cache" {
		t.Fatalf("GET /app.js: %d, ETag %q, Cache-Control %q", first.Code, tag, first.Header().Get("Cache-Control"))
	}
	again := httptest.NewRequest(http.MethodGet, "/app.js", nil)
	again.Header.Set("If-None-Match", tag)
	second := httptest.NewRecorder()
	page.ServeHTTP(second, again)
	if second.Code != http.StatusNotModified || second.Body.Len() != 0 {
		t.Errorf("repeated with the tag: %d, %d bytes; want 304 and none", second.Code, second.Body.Len())
	}
}

func TestPageIsCompressedForBrowsersThatAcceptIt(t *testing.T) {
	t.Parallel()
	page := web.Page()
	for _, path := range []string{"/", "/app.js", "/style.css", "/playground/graphiql.min.js"} {
		plain := httptest.NewRecorder()
		page.ServeHTTP(plain, httptest.NewRequest(http.MethodGet, path, nil))
		request := httptest.NewRequest(http.MethodGet, path, nil)
		request.Header.Set("Accept-Encoding", "gzip, deflate, br")
		compressed := httptest.NewRecorder()
		page.ServeHTTP(compressed, request)
		if got := compressed.Header().Get("Content-Encoding"); compressed.Code != http.StatusOK || got != "gzip" {
			t.Fatalf("GET %s: %d, Content-Encoding %q; want 200 and gzip", path, compressed.Code, got)
		}
		if plain.Header().Get("ETag") == compressed.Header().Get("ETag") || compressed.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("GET %s: a cache could mix up the compressed file and the plain one", path)
		}
		if a, b := plain.Header().Get("Content-Type"), compressed.Header().Get("Content-Type"); a != b {
			t.Errorf("GET %s: Content-Type %q, and %q if it is compressed", path, a, b)
		}
		content, err := gzip.NewReader(compressed.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(content); err != nil || !bytes.Equal(got, plain.Body.Bytes()) {
			t.Errorf("GET %s: %d bytes compressed, %d plain: %v", path, len(got), plain.Body.Len(), err)
		}
	}
}

// The budget of what a browser loads before it shows the page.
func TestPageIsSmall(t *testing.T) {
	t.Parallel()
	const budget = 150_000
	page, total := web.Page(), 0
	for _, path := range []string{"/", "/app.js", "/style.css", "/icon.svg"} {
		request := httptest.NewRequest(http.MethodGet, path, nil)
		request.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		page.ServeHTTP(w, request)
		total += w.Body.Len()
	}
	t.Logf("the page has %d bytes, compressed", total)
	if total > budget {
		t.Errorf("the page has %d bytes, compressed; want at most %d", total, budget)
	}
}

// The link of each kind of alert leads to a section of the runbook.
func TestAlertsLinkToSectionsOfTheRunbook(t *testing.T) {
	t.Parallel()
	server := serve(t)
	_, runbook := get(t, server.URL+"/runbook.html")
	_, app := get(t, server.URL+"/app.js")
	_, kinds, ok := strings.Cut(app, "var runbook = {")
	kinds, _, closed := strings.Cut(kinds, "}")
	anchors := regexp.MustCompile(`[A-Z_]+: "([^"]+)"`).FindAllStringSubmatch(kinds, -1)
	if !ok || !closed || len(anchors) == 0 {
		t.Fatalf("no links in %q", kinds)
	}
	for _, a := range anchors {
		if !strings.Contains(runbook, `<h2 id="`+a[1]+`">`) {
			t.Errorf("%s: no such section", a[0])
		}
	}
}
