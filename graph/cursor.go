package graph

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// cursorLength is that of a log's identity and a position, in bytes.
const cursorLength = 16 + 8

// cursor writes a position as what callers pass back: the log's identity with it,
// so that a position of another log is never taken for one of this.
func (r *Resolver) cursor(p event.Position) string {
	b := make([]byte, 0, cursorLength)
	b = append(b, r.opts.LogID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p))
	return base64.RawURLEncoding.EncodeToString(b)
}

// position reads the cursor given as after; 0 for none.
func (r *Resolver) position(after *string) (event.Position, error) {
	if after == nil {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*after)
	if err != nil || len(b) != cursorLength {
		return 0, domain.Invalid("after", "is no cursor; give one that was answered before, or none")
	}
	if uuid.UUID(b[:16]) != r.opts.LogID {
		return 0, &domain.Error{
			Code: domain.CodeCursorGone, Field: "after",
			Message: "belongs to another log; query again and subscribe anew",
		}
	}
	return event.Position(binary.BigEndian.Uint64(b[16:])), nil
}
