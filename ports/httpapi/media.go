package httpapi

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/domain"
)

const (
	// MediaPattern is the pattern of the endpoint for files of inbound messages.
	MediaPattern = "GET /media/{inboundMessageId}"
	// mediaAtOnce is the maximum number of concurrent downloads.
	mediaAtOnce = 32
	// mediaPiece is the number of bytes that are copied at a time.
	mediaPiece = 64 << 10
	// mediaWriteTimeout is the time that a reader can take for a piece.
	mediaWriteTimeout = 30 * time.Second
)

// OpenFile opens the file of an inbound message for the caller of a request, whom it authorizes.
// Its errors are *domain.Error, if they can be shown.
type OpenFile func(r *http.Request, id string) (inbox.Message, inbox.Media, error)

// mediaEndpoint streams files of inbound messages from WhatsApp. It stores nothing.
type mediaEndpoint struct {
	open   OpenFile
	slots  chan struct{}
	logger *slog.Logger
}

// NewMedia returns the endpoint for files of inbound messages, at MediaPattern.
func NewMedia(open OpenFile, logger *slog.Logger) http.Handler {
	return &mediaEndpoint{open: open, slots: make(chan struct{}, mediaAtOnce), logger: logger}
}

func (e *mediaEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		w.Header().Set("Retry-After", retryAfter)
		http.Error(w, "too many files are being downloaded; try again", http.StatusServiceUnavailable)
		return
	}
	m, file, err := e.open(r, r.PathValue("inboundMessageId"))
	if err != nil {
		e.refuse(w, r, err)
		return
	}
	defer file.Body.Close()
	h := w.Header()
	h.Set("Content-Type", mediaType(file.Type))
	h.Set("Content-Disposition", disposition(m))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "no-store")
	if file.Size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(file.Size, 10))
	}
	w.WriteHeader(http.StatusOK)
	if err := copyFile(w, file.Body); err != nil && r.Context().Err() == nil {
		e.logger.WarnContext(r.Context(), "file of an inbound message cut short", "inbound", m.ID, "error", err)
		panic(http.ErrAbortHandler) // the caller sees that it is incomplete
	}
}

// copyFile copies a file with a time limit for each piece.
func copyFile(w http.ResponseWriter, file io.Reader) error {
	control := http.NewResponseController(w)
	piece := make([]byte, mediaPiece)
	for {
		n, err := file.Read(piece)
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(mediaWriteTimeout)) // the server's writer supports it
			if _, err := w.Write(piece[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			_ = control.SetWriteDeadline(time.Time{})
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// mediaType returns the type that WhatsApp named, if it is one.
func mediaType(named string) string {
	kind, parameters, err := mime.ParseMediaType(named)
	if err != nil {
		return "application/octet-stream"
	}
	return mime.FormatMediaType(kind, parameters)
}

// disposition lets browsers store the file and never show it: it is from outside, and must not act
// in the name of the web UI.
func disposition(m inbox.Message) string {
	file, _ := m.File()
	name := strings.Map(func(c rune) rune {
		if c < ' ' || strings.ContainsRune(`/\:`, c) {
			return '_'
		}
		return c
	}, file.Name)
	if name == "" {
		name = m.Type + "-" + m.ID
	}
	return cmp.Or(mime.FormatMediaType("attachment", map[string]string{"filename": name}), "attachment")
}

// refuse responds with an error.
func (e *mediaEndpoint) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch domain.CodeOf(err) {
	case domain.CodeUnauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
		status = http.StatusUnauthorized
	case domain.CodeForbidden:
		status = http.StatusForbidden
	case domain.CodeNotFound, domain.CodeInvalidInput:
		status = http.StatusNotFound
	case domain.CodeConflict, domain.CodeTooLarge:
		status = http.StatusBadGateway // WhatsApp refuses, or has more than Waypost passes on
	case domain.CodeUnavailable:
		w.Header().Set("Retry-After", retryAfter)
		status = http.StatusServiceUnavailable
	case domain.CodeCursorGone, domain.CodeInternal:
	}
	if status == http.StatusInternalServerError {
		e.logger.ErrorContext(r.Context(), "file of an inbound message not served", "error", err)
		http.Error(w, "internal error", status)
		return
	}
	http.Error(w, err.Error(), status)
}
