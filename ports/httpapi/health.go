package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// readyTimeout is the time limit for the readiness checks of one request.
const readyTimeout = 2 * time.Second

// Check checks one dependency of a role.
type Check struct {
	// Name is the name of the dependency, such as "event store".
	Name string
	// Ready returns the reason why the dependency is not ready, or nil if it is ready. It
	// must return when ctx ends.
	Ready func(ctx context.Context) error
}

// Readiness is the response body of /readyz.
type Readiness struct {
	Ready    bool       `json:"ready"`
	NotReady []NotReady `json:"notReady,omitempty"`
}

// NotReady is a failed check of a role.
type NotReady struct {
	Role  string `json:"role"`
	Check string `json:"check"`
	// Reason can contain addresses and file names, so not every caller receives it.
	Reason string `json:"reason,omitempty"`
}

// detail is the amount of detail in a response of /readyz.
type detail int

const (
	showReady detail = iota
	showChecks
	showReasons
)

// reduced returns r without the details that exceed to.
func (r Readiness) reduced(to detail) Readiness {
	switch to {
	case showReady:
		r.NotReady = nil
	case showChecks:
		for i := range r.NotReady {
			r.NotReady[i].Reason = ""
		}
	case showReasons:
	}
	return r
}

// healthz reports that the process is running and serves requests.
func healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz returns a handler that reports whether this process is ready for all of its
// roles, or for the role in the query.
func readyz(roles map[string][]Check, shown func(*http.Request) detail) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked := roles
		if role := r.URL.Query().Get("role"); role != "" {
			checks, served := roles[role]
			if !served {
				writeJSON(w, http.StatusServiceUnavailable, Readiness{NotReady: []NotReady{
					{Role: role, Check: "role", Reason: "this process does not have the role"},
				}}.reduced(shown(r)))
				return
			}
			asked = map[string][]Check{role: checks}
		}
		answer := runChecks(r.Context(), asked)
		status := http.StatusOK
		if !answer.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, answer.reduced(shown(r)))
	}
}

// runChecks runs all checks concurrently.
func runChecks(ctx context.Context, roles map[string][]Check) Readiness {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	answer := Readiness{}
	for role, checks := range roles {
		for _, c := range checks {
			wg.Go(func() {
				if err := c.Ready(ctx); err != nil {
					mu.Lock()
					defer mu.Unlock()
					answer.NotReady = append(answer.NotReady, NotReady{Role: role, Check: c.Name, Reason: err.Error()})
				}
			})
		}
	}
	wg.Wait()
	answer.Ready = len(answer.NotReady) == 0
	slices.SortFunc(answer.NotReady, func(a, b NotReady) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Check, b.Check))
	})
	return answer
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have disconnected
}
