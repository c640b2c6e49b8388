// Package web contains the files for browsers: the web UI at / and GraphiQL. Waypost serves
// all of them itself, so that they work without internet access.
//
// The web UI is written in TypeScript without a framework, in app, and built by Vite into
// page. The build is committed and embedded, so that Go is enough to build Waypost.
// `go generate ./web` rebuilds it where Node and npm are installed:
//
//   - app/operations.mjs checks the operations in app/src/graphql against the schema in
//     ../graph and generates their types, so that the web UI requests only what is served
//     and reads only fields that it has requested;
//   - tsc checks the types, and node runs the tests of app/src/lib;
//   - vite bundles app/src into page, unminified, so that its changes are readable.
//
// `npm run dev` in app serves the sources, with a running `waypost demo` as the server.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
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
	mux.Handle("/", page())
	mux.Handle("/playground/", http.FileServerFS(files))
	return mux
}

// page serves the page directory. Files outside of it are not found.
func page() http.Handler {
	sub, err := fs.Sub(files, "page")
	if err != nil {
		return http.NotFoundHandler() // impossible: the directory is embedded
	}
	server, tag := http.FileServerFS(sub), `"`+digest(sub)+`"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		// Embedded files have no modification times. With the tag, a browser loads the new files
		// together after an upgrade, and no file twice before it.
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		server.ServeHTTP(w, r)
	})
}

// digest returns a hash of the content of a directory.
func digest(dir fs.FS) string {
	sum := sha256.New()
	_ = fs.WalkDir(dir, ".", func(path string, _ fs.DirEntry, _ error) error {
		content, _ := fs.ReadFile(dir, path) // a directory has no content
		sum.Write(content)
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)[:12])
}
