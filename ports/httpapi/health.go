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

// readyTimeout bounds one check of readiness.
const readyTimeout = 2 * time.Second

// Check is one thing that a role needs to be ready.
type Check struct {
	// Name says what is checked, such as "event store".
	Name string
	// Ready answers why it is not ready; nil if it is. It must honour ctx.
	Ready func(ctx context.Context) error
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready    bool       `json:"ready"`
	NotReady []NotReady `json:"notReady,omitempty"`
}

// NotReady names what a role lacks.
type NotReady struct {
	Role   string `json:"role"`
	Check  string `json:"check"`
	Reason string `json:"reason"`
}

// healthz answers that the process is alive and serves.
func healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz answers whether this process is ready for its roles, or for the one
// that is asked for.
func readyz(roles map[string][]Check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked := roles
		if role := r.URL.Query().Get("role"); role != "" {
			checks, served := roles[role]
			if !served {
				writeJSON(w, http.StatusServiceUnavailable, Readiness{NotReady: []NotReady{
					{Role: role, Check: "role", Reason: "this process does not have the role"},
				}})
				return
			}
			asked = map[string][]Check{role: checks}
		}
		answer := runChecks(r.Context(), asked)
		status := http.StatusOK
		if !answer.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, answer)
	}
}

// runChecks runs all checks side by side.
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
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
