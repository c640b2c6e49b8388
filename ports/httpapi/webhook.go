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
	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
)

const (
	// maxWebhook is the maximum size of a delivery in bytes. WhatsApp sends up to 3 MB.
	maxWebhook = 4 << 20
	// readWebhookTimeout is the time limit for reading a delivery's body.
	readWebhookTimeout = 15 * time.Second
	// recordWebhookTimeout is the time limit for recording a delivery. WhatsApp waits 5 to
	// 10 s for the response and then treats the delivery as failed.
	recordWebhookTimeout = 5 * time.Second
	// recordingAtOnce is the maximum number of deliveries that are recorded concurrently.
	recordingAtOnce = 256
	// retryAfter is the Retry-After of the response if a delivery cannot be recorded, in
	// seconds.
	retryAfter = "5"
)

// WebhookRecorder records deliveries. A delivery is durable before Handle returns nil.
type WebhookRecorder interface {
	Handle(ctx context.Context, raw []byte, deliveryID string) error
}

// WebhookOptions configure the webhook endpoint.
type WebhookOptions struct {
	Recorder WebhookRecorder
	// AppSecrets returns the app secrets. A delivery must be signed with one of them. The
	// function is called for each delivery, so the secrets can change. If there is none,
	// all deliveries are rejected.
	AppSecrets func() []string
	// VerifyToken returns the verify token. If it is empty, verification is rejected.
	VerifyToken func() string
	// DeliveryID returns an ID for a delivery, which names it in the event log.
	DeliveryID func() string
	// Rejected, if set, is called for every delivery without a valid signature.
	Rejected func()
	// Recorded, if set, is called with every delivery after it was recorded, and with
	// WhatsApp's signature. It must not block.
	Recorded func(raw []byte, signature string)
	// Gate, if set, measures how long deliveries take to be recorded.
	Gate *fair.Gate
	// Trace traces deliveries. If nil, they are not traced.
	Trace  *trace.Tracer
	Logger *slog.Logger
}

type webhookEndpoint struct {
	WebhookOptions
	slots chan struct{}
}

// NewWebhook returns the endpoint for WhatsApp's webhooks: GET verifies the subscription,
// and POST is a delivery.
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

// verify returns the challenge to a caller that sends the verify token.
func (h *webhookEndpoint) verify(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	token := h.VerifyToken()
	if token == "" {
		h.Logger.WarnContext(r.Context(), "webhook verification rejected: no verify token is set; set WAYPOST_WHATSAPP_VERIFY_TOKEN to the token configured at Meta")
	}
	given, want := sha256.Sum256([]byte(q.Get("hub.verify_token"))), sha256.Sum256([]byte(token))
	equal := subtle.ConstantTimeCompare(given[:], want[:]) == 1
	if token == "" || !equal || q.Get("hub.mode") != "subscribe" {
		if token != "" {
			h.Logger.WarnContext(r.Context(), "webhook verification rejected: the mode or the verify token is wrong")
		}
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, q.Get("hub.challenge")) //nolint:gosec // plain text, and nosniff is set
	h.Logger.InfoContext(r.Context(), "webhook subscription verified")
}

// deliver records a delivery and then responds.
func (h *webhookEndpoint) deliver(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := h.DeliveryID()
	// A delivery has its own trace because it can be about many messages. Its statuses are
	// also in the traces of their messages.
	ctx, span := h.Trace.Begin(r.Context(), trace.Start{Kind: trace.Server, Name: "POST " + webhookPattern, Root: true})
	defer span.End()
	body, status, err := h.accept(w, r)
	if err == nil {
		status, err = h.record(ctx, body, id)
	}
	span.SetString("waypost.delivery.id", id)
	span.SetInt("http.response.status_code", status)
	if status >= http.StatusInternalServerError {
		span.SetError(http.StatusText(status))
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
	errSignature = errors.New("signature is missing or wrong; WAYPOST_WHATSAPP_APP_SECRET must be the secret of the Meta app that sends the webhooks")
	errBusy      = errors.New("too many webhooks are being recorded")
)

// accept reads the body and checks its signature.
func (h *webhookEndpoint) accept(w http.ResponseWriter, r *http.Request) ([]byte, int, error) {
	secrets := h.AppSecrets()
	if !anySet(secrets) {
		return nil, http.StatusForbidden, errNoSecret
	}
	// Not every ResponseWriter supports deadlines, but the server's does.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readWebhookTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if err == nil {
		_ = control.SetReadDeadline(time.Time{}) // otherwise it is also the limit for the server, which reads the rest
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, err
	case errors.Is(err, errBodies):
		return nil, http.StatusServiceUnavailable, err
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

// record records the delivery and returns the status for the response. It continues even
// if WhatsApp closes the connection, so that the delivery need not be repeated in full.
func (h *webhookEndpoint) record(ctx context.Context, body []byte, id string) (int, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWebhookTimeout)
	defer cancel()
	recording := h.Gate.Begin(time.Now())
	defer func() { h.Gate.End(recording, time.Now()) }()
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
