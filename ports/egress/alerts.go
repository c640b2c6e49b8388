package egress

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
)

const (
	// alertPlace is the name of the place up to which transitions of alerts were told.
	alertPlace = "alerts"
	// alertBatch is how many transitions may be told again after a crash, alertWays how
	// many go on at once.
	alertBatch, alertWays = 20, 4
	// lastAlertPause is the longest between two tries: who mends the receiver wants to
	// see it work.
	lastAlertPause = time.Minute
	// alertAge is for how long a transition is told: later it is no news, and a receiver
	// that was away for days, or was set only now, is not flooded.
	alertAge = 24 * time.Hour
	// recordedKey is the metadata with the time of the transition.
	recordedKey = "recorded-at"
)

// AlertClient delivers over HTTP.
type AlertClient interface {
	// Deliver posts body under an id, signed by each of the secrets at a time.
	Deliver(ctx context.Context, url string, secrets []string, id, contentType string, at time.Time, body []byte) (status int, err error)
	// Post posts body as it is.
	Post(ctx context.Context, url, contentType string, body []byte) (status int, err error)
}

// AlertOptions are what the notification of alerts is built of. All are required.
type AlertOptions struct {
	// URL and Secret are asked for each time, so that they can change.
	URL    func() string
	Secret func() string
	Format AlertFormat
	Client AlertClient
	// Load answers an alert as it was at a position of the log.
	Load    func(ctx context.Context, id uuid.UUID, at event.Position) (query.Alert, error)
	Log     event.Log
	LogID   uuid.UUID
	Places  Places
	Process uuid.UUID
	Now     func() time.Time
	Logger  *slog.Logger
}

// NewAlerts tells a receiver of every transition of an alert: raised, acknowledged,
// resolved. It follows the log, so that it never holds up who evaluates the rules, and
// what happened while the receiver or this platform was away is told afterwards. Those
// of one alert come in their order, at least once, under the event's own id.
func NewAlerts(o AlertOptions) *Egress {
	n := &notifier{o}
	return New(Options{
		Broker: n, Log: o.Log, LogID: o.LogID, Places: o.Places, Name: alertPlace, Batch: alertBatch, Process: o.Process,
		Streams: []string{alerts.AlertStreams}, Make: n.transition, Logger: o.Logger,
	})
}

// notifier is the receiver of alerts as what events leave to.
type notifier struct{ AlertOptions }

// Concurrency is how many deliveries go on at once.
func (n *notifier) Concurrency() int { return alertWays }

// Kind names it for the log.
func (n *notifier) Kind() string { return "alert webhook" }

// transition makes the notification of an event of an alert.
func (n *notifier) transition(ctx context.Context, r event.Recorded) (*wm.Message, []byte, error) {
	id, ok := alerts.Of(r.Stream)
	name := transitionOf(r.Event)
	if !ok || name == "" {
		return nil, nil, nil
	}
	a, err := n.Load(ctx, id, r.Position)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil, nil, nil // its stream was deleted
	}
	if err != nil {
		return nil, nil, err
	}
	body, err := n.Format.encode(name, a)
	if err != nil {
		return nil, nil, err
	}
	m := wm.NewMessage(r.ID.String(), body)
	m.Metadata = wm.Metadata{subjectKey: id.String(), recordedKey: r.Meta.RecordedAt.Format(time.RFC3339Nano)}
	return m, id[:], nil
}

// Publish tells of the transitions in their order, each until the receiver has it,
// refuses it for good, or it is too old.
func (n *notifier) Publish(ctx context.Context, _ string, messages ...*wm.Message) error {
	for _, m := range messages {
		if err := n.tell(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// tell tries one transition until it is settled; an error says that it is not.
func (n *notifier) tell(ctx context.Context, m *wm.Message) error {
	recorded, err := time.Parse(time.RFC3339Nano, m.Metadata[recordedKey])
	if err != nil {
		return err
	}
	log := n.Logger.With("alert", m.Metadata[subjectKey])
	pause, refusals := firstRetry, 0
	for attempt := 1; ; attempt++ {
		at := n.Now()
		if at.Sub(recorded) > alertAge {
			log.ErrorContext(ctx, "a transition of an alert was not told: it is too old", "recorded", recorded, "tries", attempt-1)
			return nil
		}
		status, err := n.post(ctx, m, at)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && status >= http.StatusOK && status < http.StatusMultipleChoices:
			log.InfoContext(ctx, "a transition of an alert was told", "tries", attempt)
			return nil
		case err == nil && refused(status):
			if refusals++; refusals == maxRefusals {
				log.ErrorContext(ctx, "a transition of an alert was not told: the receiver refuses it", "status", status, "tries", attempt)
				return nil
			}
		}
		if attempt == 1 {
			log.WarnContext(ctx, "a transition of an alert waits for its receiver", "status", status, "error", err)
		}
		if !wait(ctx, pause) {
			return ctx.Err()
		}
		pause = min(2*pause, lastAlertPause)
	}
}

func (n *notifier) post(ctx context.Context, m *wm.Message, at time.Time) (int, error) {
	if n.Format == FormatWaypost {
		return n.Client.Deliver(ctx, n.URL(), []string{n.Secret()}, m.UUID, jsonType, at, m.Payload)
	}
	body, err := n.Format.seal(m.Payload, n.Secret())
	if err != nil {
		return 0, err
	}
	return n.Client.Post(ctx, n.URL(), jsonType, body)
}
