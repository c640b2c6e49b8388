// Package web holds what browsers are served: the page at / and GraphiQL. Both
// come from the program itself, so that they work where there is no internet.
package web

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed page playground
var files embed.FS

// Page serves the operations page and its files, and below /playground/ the files
// that GraphiQL loads.
func Page() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", folder("page"))
	mux.Handle("/playground/", http.FileServerFS(files))
	return mux
}

// folder serves an embedded folder; the name of a file outside of it is not found.
func folder(name string) http.Handler {
	sub, err := fs.Sub(files, name)
	if err != nil {
		return http.NotFoundHandler() // cannot be: the folder is embedded
	}
	return http.FileServerFS(sub)
}
