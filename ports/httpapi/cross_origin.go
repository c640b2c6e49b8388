package httpapi

import (
	"net/http"

	"github.com/rs/cors"
)

// preflightFor is for how long a browser need not ask again, in seconds.
const preflightFor = 600

// crossOrigin lets pages of the origins use a handler. Cookies are not among what
// they may send: a key has to be given in the open, so that no page can use one
// that it does not have.
func crossOrigin(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 { // the library takes none for all
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Accept", "Waypost-On-Behalf-Of", "Traceparent", "Tracestate"},
		ExposedHeaders: []string{requestIDHeader, "Retry-After"},
		MaxAge:         preflightFor,
	}).Handler(next)
}
