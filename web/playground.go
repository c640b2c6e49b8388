package web

import "net/http"

// Playground serves GraphiQL's page. Page serves the files that it loads. In the demo, it
// gets the key from /demo.json with the secret of the demo's link.
func Playground() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "playground/graphiql.html")
	})
}
