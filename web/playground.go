package web

import "net/http"

// Playground serves GraphiQL's page. What it loads is served by Page, and in the
// demo it takes the key from /demo.json.
func Playground() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "playground/graphiql.html")
	})
}
