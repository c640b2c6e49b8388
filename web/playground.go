package web

import "net/http"

// Playground serves GraphiQL.
func Playground() http.Handler { return folder("playground") }
