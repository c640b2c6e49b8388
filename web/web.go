// Package web holds what browsers are served: the page at / and GraphiQL. Both
// come from the program itself, so that they work where there is no internet.
//
// The page is written in TypeScript without a framework, in app, and built by Vite
// into page. What is built is committed and embedded: whoever has Go alone builds
// the whole program. `go generate ./web` builds it again where Node and npm are:
//
//   - app/operations.mjs holds the operations in app/src/graphql against the schema
//     in ../graph and makes their types, so that the page asks nothing that is not
//     served, and reads no field that it has not asked for;
//   - tsc checks the types, and node runs the tests of app/src/lib;
//   - vite bundles app/src into page, not minified: its changes can be read.
//
// `npm run dev` in app serves the sources, with a running `waypost demo` behind them.
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

// pagePolicy lets the page load its own files and talk to its own server, and
// nothing else: what is not named is refused.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page serves the operations page and its files, and below /playground/ the files
// that GraphiQL loads.
func Page() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", page())
	mux.Handle("/playground/", http.FileServerFS(files))
	return mux
}

// page serves the page's folder; the name of a file outside of it is not found.
func page() http.Handler {
	sub, err := fs.Sub(files, "page")
	if err != nil {
		return http.NotFoundHandler() // cannot be: the folder is embedded
	}
	server, tag := http.FileServerFS(sub), `"`+digest(sub)+`"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		// The files have no times of their own. The tag makes a browser take the new ones
		// together after an upgrade, and ask for nothing twice before it.
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		server.ServeHTTP(w, r)
	})
}

// digest is a name for the content of a folder.
func digest(folder fs.FS) string {
	sum := sha256.New()
	_ = fs.WalkDir(folder, ".", func(path string, _ fs.DirEntry, _ error) error {
		content, _ := fs.ReadFile(folder, path) // none of a folder
		sum.Write(content)
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)[:12])
}
