package egress

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
)

const (
	// alertPlace is the name of the checkpoint of alert notifications.
	alertPlace = "alerts"
	// alertBatch is the maximum number of notifications that are repeated after a crash,
	// and alertWays the maximum number that are delivered concurrently.
	alertBatch, alertWays = 20, 4
	// lastAlertPause is the maximum delay between two attempts. It is short because an
	// operator who fixes the receiver wants to see it work.
	lastAlertPause = time.Minute
	// alertAge is how long a transition is worth a notification. Older ones are dropped,
	// so that a receiver that was down for days or has just been configured is not
	// flooded.
	alertAge = 24 * time.Hour
	// recordedKey is the metadata key of the time of the transition.
	recordedKey = "recorded-at"
)

// AlertClient delivers notifications over HTTP.
type AlertClient interface {
	// Deliver posts body under an ID, signed with each of the secrets and the time at.
	Deliver(ctx context.Context, url string, secrets []string, id, contentType string, at time.Time, body []byte) (status int, err error)
	// Post posts body unchanged.
	Post(ctx context.Context, url, contentType string, body []byte) (status int, err error)
}

// AlertOptions are the dependencies of alert notifications. All are required.
type AlertOptions struct {
	// URL and Secret are called for each attempt, so their results can change.
	URL    func() string
	Secret func() string
	Format AlertFormat
	Client AlertClient
	// Load returns an alert as of a position in the event log.
	Load    func(ctx context.Context, id uuid.UUID, at event.Position) (query.Alert, error)
	Log     event.Log
	LogID   uuid.UUID
	Places  CheckpointStore
	Process uuid.UUID
	Now     func() time.Time
	Logger  *slog.Logger
}

// NewAlerts returns a Publisher that notifies a receiver of every transition of an
// alert: raised, acknowledged, and resolved, except while a silence covers it. It follows the event log, so it never
// delays the evaluation of alert rules, and it delivers later the transitions that occur
// while the receiver or Waypost is down. The notifications of one alert are delivered in
// order, each under the event's ID and at least once, unless the receiver refuses it or
// it is older than a day.
func NewAlerts(o AlertOptions) *Publisher {
	n := &notifier{o}
	return New(Options{
		Broker: n, Log: o.Log, LogID: o.LogID, Places: o.Places, Name: alertPlace, Batch: alertBatch, ThroughLoss: true, Process: o.Process,
		Streams: []string{event.AlertStreams}, Marshal: n.transition, Logger: o.Logger,
	})
}

// notifier is the Broker that delivers notifications to the receiver of alerts.
type notifier struct{ AlertOptions }

// Concurrency returns the maximum number of concurrent deliveries.
func (n *notifier) Concurrency() int { return alertWays }

// Kind returns the name of the notifier for log output.
func (n *notifier) Kind() string { return "alert webhook" }

// transition returns the notification for an event of an alert. The message is nil if the
// event is not a transition.
func (n *notifier) transition(ctx context.Context, r event.Recorded) (*wm.Message, []byte, error) {
	id, ok := event.ParseAlertStream(r.Stream)
	if !ok {
		return nil, nil, nil
	}
	a, err := n.Load(ctx, id, r.Position)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil, nil, nil // the alert's stream was deleted
	}
	if err != nil {
		return nil, nil, err
	}
	name := transitionOf(r.Event, a.Alert)
	if name == "" {
		return nil, nil, nil
	}
	body, err := n.Format.encode(name, a)
	if err != nil {
		return nil, nil, err
	}
	m := wm.NewMessage(r.ID.String(), body)
	m.Metadata = wm.Metadata{subjectKey: id.String(), recordedKey: r.Meta.RecordedAt.Format(time.RFC3339Nano)}
	return m, id[:], nil
}

// Publish delivers the notifications in order. It tries each one until the receiver
// accepts it, the receiver has refused it repeatedly, or it is too old.
func (n *notifier) Publish(ctx context.Context, _ string, messages ...*wm.Message) error {
	for _, m := range messages {
		if err := n.tell(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// tell tries to deliver one notification until the receiver accepts it or it is dropped.
// It returns an error if neither happened, for example because ctx ended.
func (n *notifier) tell(ctx context.Context, m *wm.Message) error {
	recorded, err := time.Parse(time.RFC3339Nano, m.Metadata[recordedKey])
	if err != nil {
		return err
	}
	log := n.Logger.With("alert", m.Metadata[subjectKey])
	retries, refusals := retry.Backoff{First: firstRetry, Max: lastAlertPause}, 0
	for attempt := 1; ; attempt++ {
		at := n.Now()
		if at.Sub(recorded) > alertAge {
			log.ErrorContext(ctx, "alert notification dropped: it is too old", "recorded", recorded, "tries", attempt-1)
			return nil
		}
		status, err := n.post(ctx, m, at)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && status >= http.StatusOK && status < http.StatusMultipleChoices:
			log.InfoContext(ctx, "alert notification delivered", "tries", attempt)
			return nil
		case err == nil && refused(status):
			if refusals++; refusals == maxRefusals {
				log.ErrorContext(ctx, "alert notification dropped: the receiver refuses it", "status", status, "tries", attempt)
				return nil
			}
		}
		if attempt == 1 {
			log.WarnContext(ctx, "failed to deliver alert notification, retrying", "status", status, "error", err)
		}
		if err := retries.Sleep(ctx); err != nil {
			return err
		}
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
