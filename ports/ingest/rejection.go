package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"unicode/utf8"

	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// rejectionVersion is the version of a rejection's shape, its member "v".
const rejectionVersion = 1

// Rejection is what stands on the topic of rejected commands.
type Rejection struct {
	V     int            `json:"v"`
	Error RejectionError `json:"error"`
	// ID is the id of the broker's message, if it had one.
	ID string `json:"id,omitempty"`
	// Original is the command as it came, if it is JSON. Otherwise it stands in
	// OriginalText, or in base64 in OriginalBytes if it is no UTF-8.
	Original      json.RawMessage `json:"original,omitempty"`
	OriginalText  string          `json:"originalText,omitempty"`
	OriginalBytes []byte          `json:"originalBytes,omitempty"`
	// OriginalSize is in bytes. Truncated says that only the beginning is here.
	OriginalSize int  `json:"originalSize"`
	Truncated    bool `json:"truncated,omitempty"`
	// Metadata is that of the broker's message.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// RejectionError is why a command was rejected: the same code, message and field
// that a caller over GraphQL is told.
type RejectionError struct {
	Code    domain.Code `json:"code"`
	Message string      `json:"message"`
	Field   string      `json:"field,omitempty"`
	// MessageID is the message in the way of a CONFLICT.
	MessageID string `json:"messageId,omitempty"`
}

// rejection makes the message for the topic of rejected commands. Its id is derived
// from the original's, so that rejecting again gives the same.
func (i *Intake) rejection(ctx context.Context, m *wm.Message, reason error) *wm.Message {
	r := Rejection{V: rejectionVersion, Error: i.told(ctx, reason), ID: m.UUID, OriginalSize: len(m.Payload), Metadata: m.Metadata}
	body := r.with(m.Payload)
	if limit := i.opts.Broker.MaxMessage(); limit > 0 && len(body) > limit {
		// As text a byte takes up to six: \u0000.
		r.Truncated, r.Metadata = true, nil
		body = r.with(m.Payload[:min(len(m.Payload), limit/8)])
	}
	id := uuid.NewSHA1(uuid.NameSpaceOID, append([]byte(m.UUID+"\n"), m.Payload...))
	return wm.NewMessage(id.String(), body)
}

// with encodes the rejection with what came, whatever that is.
func (r Rejection) with(raw []byte) []byte {
	switch {
	case !r.Truncated && json.Valid(raw):
		r.Original = raw
	case utf8.Valid(raw):
		r.OriginalText = string(raw)
	default:
		r.OriginalBytes = raw
	}
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil { // it is all text and valid JSON
		return []byte(`{"v":1,"error":{"code":"INTERNAL","message":"the rejection cannot be written"}}`)
	}
	return body.Bytes()
}

// told is reason as the producer gets to know it. What is no fault of the producer
// is logged under an id, and told by that alone.
func (i *Intake) told(ctx context.Context, reason error) RejectionError {
	var known *domain.Error
	if errors.As(reason, &known) && final(reason) {
		return RejectionError{Code: known.Code, Message: known.Message, Field: known.Field, MessageID: known.MessageID}
	}
	id := i.opts.IDs().String()
	i.opts.Logger.LogAttrs(ctx, slog.LevelError, "a command was given up", slog.String("errorId", id), slog.Any("error", reason))
	return RejectionError{Code: domain.CodeInternal, Message: "internal error " + id + "; the log has the rest under that id"}
}
