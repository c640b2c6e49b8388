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

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/hook"
)

const (
	// lookEvery is how often the list of hooks is looked at for changes.
	lookEvery = time.Second
	// hookBatch is how many events a hook may get again after a crash.
	hookBatch = 50
	// hookWays is how many deliveries to one hook go on at once.
	hookWays = 8
	// A hook that does not answer is tried again after firstRetry, then after twice as
	// long, up to lastRetry.
	firstRetry = time.Second
	lastRetry  = 10 * time.Minute
	// maxRefusals is how often one event is tried that the receiver answers with an
	// error of the request, before the next one follows.
	maxRefusals = 4
	// clearEvery is how often old deliveries are deleted.
	clearEvery = 10 * time.Minute
)

// HookClient delivers over HTTP.
type HookClient interface {
	// Deliver posts body under an id, signed by each of the secrets at a time.
	Deliver(ctx context.Context, url string, secrets []string, id, contentType string, at time.Time, body []byte) (status int, err error)
}

// HookDeliveries keeps what was delivered.
type HookDeliveries interface {
	Add(ctx context.Context, d query.HookDelivery) error
	Clear(ctx context.Context, now time.Time) error
}

// HookOptions are what the outgoing webhooks are built of.
type HookOptions struct {
	// Hooks lists them all.
	Hooks func() []command.KnownHook
	// Secret opens a secret of a hook.
	Secret func(ctx context.Context, hookID, secretID string) (string, error)
	// GiveUp disables a hook that failed for too long, and has people told of it.
	GiveUp func(ctx context.Context, hookID, reason string) error
	Client HookClient
	// Deliveries may be away: then deliveries are not kept.
	Deliveries HookDeliveries
	Log        event.Log
	LogID      uuid.UUID
	Places     Places
	Process    uuid.UUID
	// DisableAfter is how long a hook may fail before it is disabled.
	DisableAfter time.Duration
	Now          func() time.Time
	Logger       *slog.Logger
}

// Hooks tells outgoing webhooks of the events. Each follows the log on its own, from
// a place of its own: one that fails holds up no other. Its events come in order for
// each message, at least once.
type Hooks struct{ opts HookOptions }

// NewHooks makes it.
func NewHooks(o HookOptions) *Hooks { return &Hooks{opts: o} }

// runningHook is a hook that is being told, as it was when that began.
type runningHook struct {
	hook hook.Hook
	stop context.CancelFunc
	done chan struct{}
}

// Run tells the hooks until ctx ends, and answers ctx's error.
func (h *Hooks) Run(ctx context.Context) error {
	running := map[string]*runningHook{}
	cleared := time.Time{}
	for {
		h.look(ctx, running)
		if now := h.opts.Now(); now.Sub(cleared) > clearEvery {
			cleared = now
			if err := h.opts.Deliveries.Clear(ctx, now); err != nil && ctx.Err() == nil {
				h.opts.Logger.WarnContext(ctx, "old deliveries stay", "error", err)
			}
		}
		if !wait(ctx, lookEvery) {
			break
		}
	}
	for _, r := range running {
		<-r.done
	}
	return ctx.Err()
}

// look starts and stops what has changed.
func (h *Hooks) look(ctx context.Context, running map[string]*runningHook) {
	wanted := map[string]command.KnownHook{}
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

func (h *Hooks) start(ctx context.Context, k command.KnownHook) *runningHook {
	ctx, cancel := context.WithCancel(ctx)
	r := &runningHook{hook: k.Hook, stop: cancel, done: make(chan struct{})}
	e := New(Options{
		Broker: &receiver{hooks: h, hook: k.Hook, end: cancel}, Log: h.opts.Log, LogID: h.opts.LogID, Places: h.opts.Places, Name: "hook:" + k.ID,
		Start: Start{After: k.Since}, Batch: hookBatch, Personal: k.Personal, Process: h.opts.Process, Logger: h.opts.Logger.With("hook", k.ID),
		Wants: func(e event.Recorded) bool { return k.Wants(e.Type, e.Meta.Sender) },
	})
	go func() {
		defer close(r.done)
		_ = e.Run(ctx) // it is ctx's own error
	}()
	return r
}

// receiver is a hook as what events leave to.
type receiver struct {
	hooks *Hooks
	hook  hook.Hook
	// end ends the run; the next one goes on from the place.
	end context.CancelFunc

	mu           sync.Mutex
	failingSince time.Time
}

// Concurrency is how many deliveries go on at once.
func (r *receiver) Concurrency() int { return hookWays }

// Kind names it for the log.
func (r *receiver) Kind() string { return "outgoing webhook" }

// errDisabled ends the work on a hook that was disabled.
var errDisabled = errors.New("the outgoing webhook was disabled")

// Publish delivers the messages in their order, each until the receiver has it or
// refuses it for good.
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

// deliver tries one message until it is settled; an error says that it is not.
func (r *receiver) deliver(ctx context.Context, m *wm.Message) error {
	pause, refusals := firstRetry, 0
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
		if !wait(ctx, pause) {
			return ctx.Err()
		}
		pause = min(2*pause, lastRetry)
	}
}

// refused reports whether the receiver faults this one delivery, and not its state.
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

// fails notes a failure and answers since when there were only such.
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
	reason := fmt.Sprintf("no delivery succeeded since %s", since.UTC().Format(time.RFC3339))
	switch {
	case status == http.StatusGone:
		reason = "the receiver answered 410, which asks for no more"
	case err != nil:
		reason += "; the last one: " + err.Error()
	default:
		reason += fmt.Sprintf("; the last one was answered %d", status)
	}
	r.hooks.opts.Logger.ErrorContext(ctx, "an outgoing webhook is disabled", "hook", r.hook.ID, "reason", reason)
	for {
		err := r.hooks.opts.GiveUp(ctx, r.hook.ID, reason)
		if err == nil || !wait(ctx, lookEvery) {
			return errors.Join(errDisabled, err)
		}
	}
}

// keep keeps the delivery in its log; it goes on without, too.
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
		r.hooks.opts.Logger.WarnContext(ctx, "a delivery is not kept", "error", err)
	}
}
