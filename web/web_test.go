package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
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
	mux := http.NewServeMux() // as the program mounts them
	mux.Handle("/playground", web.Playground())
	mux.Handle("/", web.Page())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
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
			t.Errorf("%s is not served by the program", a[1])
			continue
		}
		if status, body := get(t, server.URL+a[1]); status != http.StatusOK || body == "" {
			t.Errorf("GET %s: %d, %d bytes", a[1], status, len(body))
		}
	}
}

func TestPageIsServed(t *testing.T) {
	t.Parallel()
	server := serve(t)
	if status, page := get(t, server.URL+"/"); status != http.StatusOK || !strings.Contains(page, "Waypost") {
		t.Errorf("GET /: %d", status)
	}
}
