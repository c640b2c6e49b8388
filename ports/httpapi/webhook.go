package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
)

const (
	// maxWebhook is the most a delivery may be; WhatsApp sends up to 3 MB.
	maxWebhook = 4 << 20
	// readWebhookTimeout bounds the reading of a delivery's body.
	readWebhookTimeout = 15 * time.Second
	// recordWebhookTimeout bounds the recording. WhatsApp waits some 5 to 10
	// seconds for its answer, then counts the delivery as failed.
	recordWebhookTimeout = 5 * time.Second
	// recordingAtOnce bounds the deliveries that are being recorded.
	recordingAtOnce = 256
	// retryAfter is what a delivery is told that cannot be recorded, in seconds.
	retryAfter = "5"
)

// WebhookRecorder records a delivery durably before it answers nil.
type WebhookRecorder interface {
	Handle(ctx context.Context, raw []byte, deliveryID string) error
}

// WebhookOptions is what the endpoint of webhooks needs.
type WebhookOptions struct {
	Recorder WebhookRecorder
	// AppSecrets are the secrets of which any may have signed a delivery. They
	// are asked for every time, so that they can change. None: all are refused.
	AppSecrets func() []string
	// VerifyToken is the token of the verification. Empty: it is refused.
	VerifyToken func() string
	// DeliveryID names a delivery in the log.
	DeliveryID func() string
	// Rejected, if set, is told of every delivery without a right signature.
	Rejected func()
	// Recorded, if set, is handed every delivery after it was recorded, with
	// WhatsApp's signature. It must not wait.
	Recorded func(raw []byte, signature string)
	// Trace follows the deliveries; nil: nobody does.
	Trace  *trace.Tracer
	Logger *slog.Logger
}

type webhookEndpoint struct {
	WebhookOptions
	slots chan struct{}
}

// NewWebhook makes the endpoint of WhatsApp's webhooks: GET verifies the
// subscription, POST is a delivery.
func NewWebhook(o WebhookOptions) http.Handler {
	return &webhookEndpoint{WebhookOptions: o, slots: make(chan struct{}, recordingAtOnce)}
}

func (h *webhookEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		h.verify(w, r)
	case http.MethodPost:
		h.deliver(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// verify answers the challenge of who knows the verify token.
func (h *webhookEndpoint) verify(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	token := h.VerifyToken()
	if token == "" {
		h.Logger.WarnContext(r.Context(), "webhook verification refused: no verify token is set; set WAYPOST_WHATSAPP_VERIFY_TOKEN to the one given to Meta")
	}
	given, want := sha256.Sum256([]byte(q.Get("hub.verify_token"))), sha256.Sum256([]byte(token))
	equal := subtle.ConstantTimeCompare(given[:], want[:]) == 1
	if token == "" || !equal || q.Get("hub.mode") != "subscribe" {
		if token != "" {
			h.Logger.WarnContext(r.Context(), "webhook verification refused: mode or verify token is wrong")
		}
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, q.Get("hub.challenge")) //nolint:gosec // plain text, and nosniff is set
	h.Logger.InfoContext(r.Context(), "webhook subscription verified")
}

// deliver records a delivery and answers only then.
func (h *webhookEndpoint) deliver(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := h.DeliveryID()
	// A delivery has a trace of its own, since it tells of many messages; what it tells of
	// each stands in that message's.
	ctx, span := h.Trace.Begin(r.Context(), trace.Start{Kind: trace.Server, Name: "POST " + webhookPattern, Root: true})
	defer span.End()
	body, status, err := h.accept(w, r)
	if err == nil {
		status, err = h.record(ctx, body, id)
	}
	span.Text("waypost.delivery.id", id)
	span.Number("http.response.status_code", status)
	if status >= http.StatusInternalServerError {
		span.Fail(http.StatusText(status))
	}
	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	case status >= http.StatusBadRequest:
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("delivery", id), slog.Int("status", status), slog.Int("bytes", len(body)), slog.Duration("took", time.Since(start)),
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	h.Logger.LogAttrs(r.Context(), level, "webhook", attrs...)
	if err != nil {
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfter)
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	if h.Recorded != nil {
		h.Recorded(body, r.Header.Get(signatureHeader))
	}
	w.WriteHeader(http.StatusOK)
}

var (
	errNoSecret  = errors.New("no app secret is set; set WAYPOST_WHATSAPP_APP_SECRET to the secret of the Meta app")
	errSignature = errors.New("signature is missing or wrong; WAYPOST_WHATSAPP_APP_SECRET must be the secret of the Meta app that sends")
	errBusy      = errors.New("too many webhooks are being recorded")
)

// accept reads the body and checks its signature.
func (h *webhookEndpoint) accept(w http.ResponseWriter, r *http.Request) ([]byte, int, error) {
	secrets := h.AppSecrets()
	if !anySet(secrets) {
		return nil, http.StatusForbidden, errNoSecret
	}
	// Not every ResponseWriter has deadlines; the server's own then bound the read.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readWebhookTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	_ = control.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, err
	case err != nil:
		return nil, http.StatusBadRequest, err
	case !signedByAny(secrets, r.Header.Get(signatureHeader), body):
		if h.Rejected != nil {
			h.Rejected()
		}
		return nil, http.StatusForbidden, errSignature
	}
	return body, http.StatusOK, nil
}

// record has the delivery recorded, to its end even when WhatsApp hangs up:
// what is under way then need not come again.
func (h *webhookEndpoint) record(ctx context.Context, body []byte, id string) (int, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWebhookTimeout)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return http.StatusServiceUnavailable, errBusy
	}
	err := h.Recorder.Handle(ctx, body, id)
	switch {
	case err == nil:
		return http.StatusOK, nil
	case errors.Is(err, event.ErrUnavailable), domain.CodeOf(err) == domain.CodeUnavailable, ctx.Err() != nil:
		return http.StatusServiceUnavailable, err
	}
	return http.StatusInternalServerError, err
}

func anySet(secrets []string) bool {
	for _, s := range secrets {
		if s != "" {
			return true
		}
	}
	return false
}
