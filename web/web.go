// Package web contains the files for browsers: the web UI at / and GraphiQL. Waypost serves
// all of them itself, so that they work without internet access.
//
// The web UI is written in TypeScript with Preact, in app, and built by Vite into page. The
// build is committed and embedded, so that Go is enough to build Waypost.
// `go generate ./web` rebuilds it where Node and npm are installed:
//
//   - GraphQL Code Generator (app/codegen.mjs) checks the operations in app/src/graphql
//     against the schema in ../graph and generates typed documents, so that the web UI
//     requests only what is served and reads only fields that it has requested;
//   - tsc checks the types, and node runs the tests of app/src/lib;
//   - vite bundles app/src and the libraries into page, unminified, so that its changes are
//     readable, and with the libraries' licenses;
//   - app/runbook.mjs writes docs/operations.md as page/runbook.html, to which alerts link.
//
// `npm run dev` in app serves the sources, with a running `waypost demo` as the server.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:generate ./app/build

//go:embed page playground
var files embed.FS

// pagePolicy allows the page to load its own files and to connect to its own server, and
// nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page serves the web UI and its files, and the files of GraphiQL under /playground/.
func Page() http.Handler {
	mux := http.NewServeMux()
	page, playground := subdirectory("page"), subdirectory("playground")
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", pagePolicy)
		page.ServeHTTP(w, r)
	})
	mux.Handle("/playground/", http.StripPrefix("/playground", playground))
	return mux
}

// EmbedPattern is the pattern of Embed.
const EmbedPattern = "GET /embed"

// Embed serves the web UI as a single view, which pages of the origins can contain in a frame. All other
// pages of Waypost cannot be framed.
func Embed(origins []string) http.Handler {
	page := subdirectory("page")
	policy := strings.Replace(pagePolicy, "frame-ancestors 'none'", "frame-ancestors "+strings.Join(origins, " "), 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Del("X-Frame-Options") // an older header, which has no list of origins and would forbid all of them
		index := r.Clone(r.Context())
		index.URL.Path = "/"
		page.ServeHTTP(w, index)
	})
}

// directory serves the files of a directory, compressed for browsers that accept it.
type directory struct {
	files fs.FS
	// compressed returns the compressed content of the files by name, and a hash of all of
	// them. It compresses them at the first call.
	compressed func() (map[string][]byte, string)
}

func subdirectory(name string) *directory {
	sub, err := fs.Sub(files, name)
	if err != nil {
		panic(err) // impossible: the directory is embedded
	}
	return &directory{files: sub, compressed: sync.OnceValues(func() (map[string][]byte, string) { return compress(sub) })}
}

func (d *directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	compressed, hash := d.compressed()
	h := w.Header()
	// Embedded files have no modification times. With the tag, a browser loads the new files
	// together after an upgrade, and no file twice before it.
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	content, ok := compressed[name]
	if !ok || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("ETag", `"`+hash+`"`)
		http.FileServerFS(d.files).ServeHTTP(w, r)
		return
	}
	h.Set("ETag", `"`+hash+`-gzip"`)
	h.Set("Content-Encoding", "gzip")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

// compress returns the compressed content of the files in a directory by name, and a hash of
// their content.
func compress(dir fs.FS) (compressed map[string][]byte, hash string) {
	compressed = map[string][]byte{}
	sum := sha256.New()
	_ = fs.WalkDir(dir, ".", func(path string, entry fs.DirEntry, _ error) error {
		if entry.IsDir() {
			return nil
		}
		content, _ := fs.ReadFile(dir, path)
		sum.Write(content)
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(content) // a buffer doesn't fail
		_ = w.Close()
		compressed[path] = packed.Bytes()
		return nil
	})
	return compressed, hex.EncodeToString(sum.Sum(nil)[:12])
}
