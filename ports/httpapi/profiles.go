package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
)

// maxProfileSeconds is the longest profile or trace that a request can ask for. CPU profiles and traces slow the process down, and
// only one of each can run.
const maxProfileSeconds = 300

// NewProfiles returns a handler for the profiles of the Go runtime, under /debug/pprof/. Profiles that are being recorded end when
// stop does. They contain names of functions and no data. The command line is not served, because it can contain secrets.
func NewProfiles(stop context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /debug/pprof/cmdline", http.NotFoundHandler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := r.FormValue("seconds"); text != "" {
			if s, err := strconv.ParseFloat(text, 64); err != nil || s < 0 || s > maxProfileSeconds {
				http.Error(w, fmt.Sprintf("seconds must be from 0 to %d, got %q", maxProfileSeconds, text), http.StatusBadRequest)
				return
			}
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(stop, cancel)()
		mux.ServeHTTP(w, r.WithContext(ctx))
	})
}
