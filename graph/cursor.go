package graph

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// cursorLength is the length of a log's identity and a position, in bytes.
const cursorLength = 16 + 8

// cursor encodes a position for callers, together with the log's identity, so that a
// position of another log is never accepted.
func (r *Resolver) cursor(p event.Position) string {
	b := make([]byte, 0, cursorLength)
	b = append(b, r.opts.LogID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p))
	return base64.RawURLEncoding.EncodeToString(b)
}

// position decodes the cursor in after. It returns 0 if there is none.
func (r *Resolver) position(after *string) (event.Position, error) {
	if after == nil {
		return 0, nil
	}
	invalid := domain.Invalid("after", "is not a valid cursor; pass one from an earlier response, or none")
	b, err := base64.RawURLEncoding.DecodeString(*after)
	if err != nil || len(b) != cursorLength {
		return 0, invalid
	}
	if uuid.UUID(b[:16]) != r.opts.LogID {
		return 0, &domain.Error{
			Code: domain.CodeCursorGone, Field: "after",
			Message: "belongs to another event log; query and subscribe again",
		}
	}
	at := event.Position(binary.BigEndian.Uint64(b[16:]))
	if at > event.MaxPosition {
		return 0, invalid
	}
	return at, nil
}
