package httpapi

import (
	"net/http"

	"github.com/rs/cors"
)

// preflightFor is how long a browser can cache the response to a preflight request, in
// seconds.
const preflightFor = 600

// crossOrigin allows pages of the origins to use a handler. They cannot send cookies. A
// page must send its key explicitly, so that no page can use a key that it does not have.
func crossOrigin(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 { // the library treats an empty list as all origins
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
