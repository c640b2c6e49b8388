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

// rejectionVersion is the version of the format of Rejection, in its member "v".
const rejectionVersion = 1

// Rejection is a message on the topic of rejected commands.
type Rejection struct {
	V     int            `json:"v"`
	Error RejectionError `json:"error"`
	// ID is the ID of the broker's message, if it had one.
	ID string `json:"id,omitempty"`
	// Original is the unchanged command, if it is valid JSON and not truncated.
	// Otherwise, OriginalText contains it, or OriginalBytes in base64 if it is not valid
	// UTF-8.
	Original      json.RawMessage `json:"original,omitempty"`
	OriginalText  string          `json:"originalText,omitempty"`
	OriginalBytes []byte          `json:"originalBytes,omitempty"`
	// OriginalSize is the size of the command in bytes. Truncated reports whether only
	// the beginning is included.
	OriginalSize int  `json:"originalSize"`
	Truncated    bool `json:"truncated,omitempty"`
	// Metadata is the metadata of the broker's message.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// RejectionError is the reason for a rejection: the same code, message, and field that
// GraphQL returns to a caller.
type RejectionError struct {
	Code    domain.Code `json:"code"`
	Message string      `json:"message"`
	Field   string      `json:"field,omitempty"`
	// MessageID is the ID of the existing message, if Code is CONFLICT.
	MessageID string `json:"messageId,omitempty"`
}

// rejection returns the message for the topic of rejected commands. Its ID is derived from
// the ID and payload of m, so rejecting the same command again yields the same ID.
func (i *Consumer) rejection(ctx context.Context, m *wm.Message, reason error) *wm.Message {
	r := Rejection{V: rejectionVersion, Error: i.rejectionError(ctx, reason), ID: m.UUID, OriginalSize: len(m.Payload), Metadata: m.Metadata}
	body := r.with(m.Payload)
	if limit := i.opts.Broker.MaxMessage(); limit > 0 && len(body) > limit {
		// In JSON text, one byte can take up to six: \u0000.
		r.Truncated, r.Metadata = true, nil
		body = r.with(m.Payload[:min(len(m.Payload), limit/8)])
	}
	id := uuid.NewSHA1(uuid.NameSpaceOID, append([]byte(m.UUID+"\n"), m.Payload...))
	return wm.NewMessage(id.String(), body)
}

// with returns the rejection in JSON, including the command raw in the member that fits it.
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
	if err := e.Encode(r); err != nil { // never happens: all members are text or valid JSON
		return []byte(`{"v":1,"error":{"code":"INTERNAL","message":"encode the rejection"}}`)
	}
	return body.Bytes()
}

// rejectionError returns reason as the producer receives it. If the producer did not cause
// it, the reason is logged under an ID, and the producer receives only that ID.
func (i *Consumer) rejectionError(ctx context.Context, reason error) RejectionError {
	var known *domain.Error
	if errors.As(reason, &known) && final(reason) {
		return RejectionError{Code: known.Code, Message: known.Message, Field: known.Field, MessageID: known.MessageID}
	}
	id := i.opts.IDs().String()
	i.opts.Logger.LogAttrs(ctx, slog.LevelError, "command rejected because of an internal error", slog.String("errorId", id), slog.Any("error", reason))
	return RejectionError{Code: domain.CodeInternal, Message: "internal error " + id + "; the log contains details under that ID"}
}
