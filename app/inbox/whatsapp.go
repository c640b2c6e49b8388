package inbox

import (
	"context"
	"io"

	"github.com/waypost/waypost/domain/sender"
)

// WhatsApp is what WhatsApp does with inbound messages. Its errors are *domain.Error: Unavailable if
// the same request can succeed later, and Conflict if WhatsApp refuses it.
type WhatsApp interface {
	// MarkRead marks a message to the sender as read, and shows that a reply is being written if
	// typing is set.
	MarkRead(ctx context.Context, s sender.Sender, whatsAppID string, typing bool) error
	// OpenMedia opens a file that was sent to the sender. It returns domain.NotFound if WhatsApp
	// no longer has it.
	OpenMedia(ctx context.Context, s sender.Sender, mediaID string) (Media, error)
}

// Media is an open file. The caller must close its Body.
type Media struct {
	// Type is the media type, as WhatsApp names it.
	Type string
	// Size is the number of bytes, or -1 if it is unknown.
	Size int64
	Body io.ReadCloser
}
