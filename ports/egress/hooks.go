package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain/hook"
)

const (
	// lookEvery is the interval at which the list of hooks is checked for changes.
	lookEvery = time.Second
	// hookBatch is the maximum number of events that are delivered to a hook again after a
	// crash.
	hookBatch = 50
	// hookWays is the maximum number of concurrent deliveries to one hook.
	hookWays = 8
	// A failed delivery is retried after firstRetry, then after twice as long each time,
	// up to lastRetry.
	firstRetry = time.Second
	lastRetry  = 10 * time.Minute
	// maxRefusals is the number of times that the receiver can refuse one event as an
	// invalid request before the event is skipped.
	maxRefusals = 4
	// clearEvery is the interval at which records of old deliveries are deleted. If they are
	// many, more are deleted each time that the hooks are looked up.
	clearEvery = 10 * time.Minute
)

// HookClient delivers events over HTTP.
type HookClient interface {
	// Deliver posts body under an ID, signed with each of the secrets and the time at.
	Deliver(ctx context.Context, url string, secrets []string, id, contentType string, at time.Time, body []byte) (status int, err error)
}

// HookDeliveries records the attempts to deliver.
type HookDeliveries interface {
	Add(ctx context.Context, d query.HookDelivery) error
	// Clear deletes some of the records that are too old, and returns whether there can be
	// more of them.
	Clear(ctx context.Context, now time.Time) (more bool, err error)
}

// HookOptions are the dependencies of Hooks.
type HookOptions struct {
	// Hooks returns all outgoing webhooks.
	Hooks func() []repository.RegisteredHook
	// Secret decrypts a secret of a hook.
	Secret func(ctx context.Context, hookID, secretID string) (string, error)
	// GiveUp disables a hook that failed for too long, so that an alert is raised.
	GiveUp func(ctx context.Context, hookID, reason string) error
	Client HookClient
	// Deliveries can be unavailable. Then events are still delivered, but not recorded
	// here.
	Deliveries HookDeliveries
	Log        event.Log
	LogID      uuid.UUID
	Places     CheckpointStore
	Process    uuid.UUID
	// DisableAfter is how long a hook can fail before it is disabled.
	DisableAfter time.Duration
	Now          func() time.Time
	Logger       *slog.Logger
}

// Hooks delivers events to outgoing webhooks. Each webhook follows the event log on its
// own, from its own checkpoint, so a failing webhook doesn't delay the others. The events
// of each message are delivered in order. Each is delivered at least once, unless the
// receiver refuses it repeatedly.
type Hooks struct{ opts HookOptions }

// NewHooks returns a Hooks.
func NewHooks(o HookOptions) *Hooks { return &Hooks{opts: o} }

// runningHook is a hook that receives events, with its configuration when it was started.
type runningHook struct {
	hook hook.Hook
	stop context.CancelFunc
	done chan struct{}
}

// Run delivers events until ctx ends and returns ctx's error.
func (h *Hooks) Run(ctx context.Context) error {
	running := map[string]*runningHook{}
	cleared := time.Time{}
	for {
		h.look(ctx, running)
		if now := h.opts.Now(); now.Sub(cleared) > clearEvery {
			more, err := h.opts.Deliveries.Clear(ctx, now)
			if err != nil && ctx.Err() == nil {
				h.opts.Logger.WarnContext(ctx, "failed to delete old deliveries", "error", err)
			}
			if !more {
				cleared = now
			}
		}
		if retry.Sleep(ctx, lookEvery) != nil {
			break
		}
	}
	for _, r := range running {
		<-r.done
	}
	return ctx.Err()
}

// look stops hooks that have changed, ended, or been disabled or removed, and starts the
// hooks that are not running.
func (h *Hooks) look(ctx context.Context, running map[string]*runningHook) {
	wanted := map[string]repository.RegisteredHook{}
	for _, k := range h.opts.Hooks() {
		if !k.Disabled() {
			wanted[k.ID] = k
		}
	}
	for id, r := range running {
		k, still := wanted[id]
		if ended(r.done) || !still || !same(k.Hook, r.hook) {
			r.stop()
			<-r.done
			delete(running, id)
		}
	}
	for id, k := range wanted {
		if running[id] == nil {
			running[id] = h.start(ctx, k)
		}
	}
}

func ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func same(a, b hook.Hook) bool {
	return a.URL == b.URL && a.Personal == b.Personal && a.SecretID == b.SecretID &&
		strings.Join(a.Types, "\n") == strings.Join(b.Types, "\n") && strings.Join(a.Senders, "\n") == strings.Join(b.Senders, "\n")
}

func (h *Hooks) start(ctx context.Context, k repository.RegisteredHook) *runningHook {
	ctx, cancel := context.WithCancel(ctx)
	r := &runningHook{hook: k.Hook, stop: cancel, done: make(chan struct{})}
	e := New(Options{
		Broker: &receiver{hooks: h, hook: k.Hook, end: cancel}, Log: h.opts.Log, LogID: h.opts.LogID, Places: h.opts.Places, Name: "hook:" + k.ID,
		Start: Start{After: k.Since}, Batch: hookBatch, Personal: k.Personal, Process: h.opts.Process, Logger: h.opts.Logger.With("hook", k.ID),
		Filter: func(e event.Recorded) bool { return k.Wants(e.Type, e.Meta.Sender) },
	})
	go func() {
		defer close(r.done)
		_ = e.Run(ctx) // the error is ctx's
	}()
	return r
}

// receiver is the Broker that delivers events to one hook.
type receiver struct {
	hooks *Hooks
	hook  hook.Hook
	// end ends the run. The next run continues from the checkpoint.
	end context.CancelFunc

	mu           sync.Mutex
	failingSince time.Time
}

// Concurrency returns the maximum number of concurrent deliveries.
func (r *receiver) Concurrency() int { return hookWays }

// Kind returns the name of the receiver for log output.
func (r *receiver) Kind() string { return "outgoing webhook" }

// errDisabled ends deliveries to a hook that was disabled.
var errDisabled = errors.New("the outgoing webhook was disabled")

// Publish delivers the messages in order. It tries each one until the receiver accepts it
// or has refused it maxRefusals times.
func (r *receiver) Publish(ctx context.Context, _ string, messages ...*wm.Message) error {
	for len(messages) > 0 {
		if err := r.deliver(ctx, messages[0]); err != nil {
			r.end()
			return err
		}
		messages = messages[1:]
	}
	return nil
}

// deliver tries to deliver one message until the receiver accepts it or has refused it
// maxRefusals times. It returns an error if neither happened, because ctx ended or the
// hook was disabled.
func (r *receiver) deliver(ctx context.Context, m *wm.Message) error {
	retries, refusals := retry.Backoff{First: firstRetry, Max: lastRetry}, 0
	for attempt := 1; ; attempt++ {
		at := r.hooks.opts.Now()
		status, err := r.post(ctx, m, at)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		outcome := query.HookRetried
		switch {
		case err == nil && status >= 200 && status < 300:
			outcome = query.HookDelivered
		case err == nil && refused(status):
			if refusals++; refusals == maxRefusals {
				outcome = query.HookGivenUp
			}
		}
		r.keep(ctx, m, attempt, at, status, err, outcome)
		if outcome != query.HookRetried {
			r.works()
			return nil
		}
		if since := r.fails(at); status == http.StatusGone || at.Sub(since) >= r.hooks.opts.DisableAfter {
			return r.disable(ctx, status, err, since)
		}
		if err := retries.Sleep(ctx); err != nil {
			return err
		}
	}
}

// refused reports whether a status means that the receiver rejects this one request, and
// not that the receiver is failing.
func refused(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func (r *receiver) post(ctx context.Context, m *wm.Message, at time.Time) (int, error) {
	ids := []string{r.hook.SecretID}
	if r.hook.OldSecretID != "" && at.Before(r.hook.OldSecretUntil) {
		ids = append(ids, r.hook.OldSecretID)
	}
	secrets := make([]string, len(ids))
	for i, id := range ids {
		var err error
		if secrets[i], err = r.hooks.opts.Secret(ctx, r.hook.ID, id); err != nil {
			return 0, err
		}
	}
	return r.hooks.opts.Client.Deliver(ctx, r.hook.URL, secrets, m.UUID, contentType, at, m.Payload)
}

// fails records a failed attempt and returns the time of the first one since an event was
// last delivered or skipped.
func (r *receiver) fails(at time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failingSince.IsZero() {
		r.failingSince = at
	}
	return r.failingSince
}

func (r *receiver) works() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failingSince = time.Time{}
}

func (r *receiver) disable(ctx context.Context, status int, err error, since time.Time) error {
	reason := fmt.Sprintf("no delivery has succeeded since %s", since.UTC().Format(time.RFC3339))
	switch {
	case status == http.StatusGone:
		reason = "the receiver returned 410 Gone, which asks to stop deliveries"
	case err != nil:
		reason += "; last error: " + err.Error()
	default:
		reason += fmt.Sprintf("; last status: %d", status)
	}
	r.hooks.opts.Logger.ErrorContext(ctx, "outgoing webhook disabled", "hook", r.hook.ID, "reason", reason)
	for {
		err := r.hooks.opts.GiveUp(ctx, r.hook.ID, reason)
		if err == nil || retry.Sleep(ctx, lookEvery) != nil {
			return errors.Join(errDisabled, err)
		}
	}
}

// keep records the attempt. If that fails, delivery continues anyway.
func (r *receiver) keep(ctx context.Context, m *wm.Message, attempt int, at time.Time, status int, failure error, outcome query.HookOutcome) {
	d := query.HookDelivery{
		HookID: r.hook.ID, EventType: strings.TrimPrefix(m.Metadata["ce-type"], typePrefix), Attempt: attempt,
		At: at, Took: r.hooks.opts.Now().Sub(at), Status: status, Outcome: outcome,
	}
	d.EventID, _ = uuid.Parse(m.UUID)
	d.MessageID, _ = uuid.Parse(m.Metadata[subjectKey])
	if failure != nil {
		d.Error = failure.Error()
	}
	if err := r.hooks.opts.Deliveries.Add(ctx, d); err != nil && ctx.Err() == nil {
		r.hooks.opts.Logger.WarnContext(ctx, "failed to record delivery", "error", err)
	}
}
