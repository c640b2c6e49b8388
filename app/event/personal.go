package event

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// KeyID identifies a data key. It is random and reveals nothing about the person whose data
// the key seals, because it stays in the event log forever.
type KeyID string

// Subject is whom the personal data of an event is about.
type Subject struct {
	// People are phone numbers in any notation, or WhatsApp's user IDs. Data about several
	// people is readable until one of them is erased. Data about no one in particular is
	// sealed under a key of the installation.
	People []string
	// Same is set if the people are several names of one person. What links names is kept as
	// long as other data under one of them: otherwise, an erasure could miss that data.
	Same bool
	// Kept is set if the data outlives the retention period. It is sealed under a key of its
	// own. If it is about people, they are several names of one person: the data is what the
	// person asked for, and is erased with the person.
	Kept bool
	// Key is the key of the stream's first event. A message's later events share the fate
	// of its first, whatever is known of the recipient when they are recorded. People are
	// then further names of the same person.
	Key KeyID
}

// Vault keeps the data keys that seal personal data. Data keys are stored outside the event
// log. When a key is destroyed, what it sealed can no longer be read anywhere.
type Vault interface {
	// Seal encrypts plain for its subject and returns the key that it used. about binds the
	// result to its place, so that it cannot be opened anywhere else. If the subject's key
	// is destroyed, Seal returns neither sealed data nor an error.
	Seal(ctx context.Context, s Subject, about string, plain []byte) (sealed []byte, key KeyID, err error)
	// Open decrypts what Seal returned. It returns an *ErasedError if the key is destroyed,
	// and ErrLocked if the key is unavailable at the moment.
	Open(ctx context.Context, key KeyID, about string, sealed []byte) ([]byte, error)
	// Fetch prepares keys for Open in one go. It returns ErrLocked if they are unavailable.
	Fetch(ctx context.Context, keys []KeyID) error
}

// ErrLocked means that personal data cannot be read at the moment, because its data key is
// not cached and the vault is unavailable.
var ErrLocked = errors.New("data key is not cached and the vault is unavailable")

// ErasedError means that personal data can never be read again.
type ErasedError struct {
	// At is when the data key was destroyed.
	At time.Time
}

func (e *ErasedError) Error() string { return "personal data was erased" }

// Personal is what can be read of an event's personal data.
type Personal uint8

// The states of an event's personal data.
const (
	// Clear means that there is no personal data, or that it can be read.
	Clear Personal = iota
	// Erased means that the data key is destroyed. The data is null from now on.
	Erased
	// Locked means that the data was not requested, or that its key is unavailable. The
	// data is null, which must not be taken as evidence of anything.
	Locked
)

// sealedForm starts the text of a sealed member: its version. The key's ID and the base64
// of the sealed data follow it. A member that is not a string was recorded before personal
// data was sealed.
const sealedForm = "v1"

// sealMember replaces the member "personal" of an event's JSON with its sealed form.
func (c *Codec) sealMember(ctx context.Context, stream string, n Proposed, data []byte) ([]byte, KeyID, error) {
	from, to, found := personalMember(data)
	if !found || c.vault == nil {
		return data, "", nil
	}
	sealed, key, err := c.vault.Seal(ctx, n.Subject, placeOf(stream, n.Event.EventType()), data[from:to])
	if err != nil {
		return nil, "", err
	}
	out := make([]byte, 0, len(data)+len(sealed)/2+len(key)+len(sealedForm)+8)
	out = append(out, data[:from]...)
	if sealed == nil {
		out = append(out, "null"...)
	} else {
		out = append(out, '"')
		out = append(out, sealedForm...)
		out = append(append(append(out, '.'), key...), '.')
		out = base64.RawStdEncoding.AppendEncode(out, sealed)
		out = append(out, '"')
	}
	return append(out, data[to:]...), key, nil
}

// openMember replaces the sealed member "personal" with its plain form, or with null if it
// cannot be read, and completes r with what it finds.
func (c *Codec) openMember(ctx context.Context, r *Recorded, data []byte, wanted bool) ([]byte, error) {
	from, to, found := personalMember(data)
	if !found || data[from] != '"' {
		return data, nil
	}
	key, text, err := parseSealed(data[from:to])
	if err != nil {
		return nil, err
	}
	r.Key, r.Personal = key, Locked
	plain := []byte("null")
	if wanted && c.vault != nil {
		sealed, err := base64.RawStdEncoding.AppendDecode(nil, text)
		if err != nil {
			return nil, fmt.Errorf("personal data is not valid base64: %w", err)
		}
		opened, err := c.vault.Open(ctx, key, placeOf(r.Stream, r.Type), sealed)
		var erased *ErasedError
		switch {
		case err == nil:
			r.Personal, plain = Clear, opened
		case errors.As(err, &erased):
			r.Personal, r.ErasedAt = Erased, erased.At
		case !errors.Is(err, ErrLocked):
			return nil, fmt.Errorf("open personal data: %w", err)
		}
	}
	out := make([]byte, 0, len(data)-(to-from)+len(plain))
	out = append(append(out, data[:from]...), plain...)
	return append(out, data[to:]...), nil
}

// SealingKeyID returns the data key that seals an event's JSON, given as in the event log.
// It returns "" if nothing is sealed.
func SealingKeyID(data []byte) KeyID {
	from, to, found := personalMember(data)
	if !found || data[from] != '"' {
		return ""
	}
	key, _, err := parseSealed(data[from:to])
	if err != nil {
		return ""
	}
	return key
}

// Sealed returns the sealed personal data of an event, with its key and its place. It
// returns false if nothing of the event is sealed.
func Sealed(stream, typ string, data []byte) (key KeyID, about string, sealed []byte, ok bool) {
	from, to, found := personalMember(data)
	if !found || data[from] != '"' {
		return "", "", nil, false
	}
	key, text, err := parseSealed(data[from:to])
	if err != nil {
		return "", "", nil, false
	}
	sealed, err = base64.RawStdEncoding.AppendDecode(nil, text)
	return key, placeOf(stream, typ), sealed, err == nil
}

// placeOf returns the place that personal data is bound to, so that it cannot be moved to
// another stream or to another type of event.
func placeOf(stream, typ string) string { return typ + "\n" + stream }

func parseSealed(quoted []byte) (key KeyID, text []byte, err error) {
	form, rest, _ := bytes.Cut(bytes.Trim(quoted, `"`), []byte{'.'})
	id, text, found := bytes.Cut(rest, []byte{'.'})
	if string(form) != sealedForm || !found || len(id) == 0 {
		return "", nil, fmt.Errorf("personal data has the unknown form %.8q; use a newer version of Waypost", form)
	}
	return KeyID(strings.Clone(string(id))), text, nil
}

// personalMember finds the value of the member "personal" of a JSON object. It reads only
// the object's own members, because nested values can contain anything. The object must be
// well-formed; otherwise, the member is not found.
func personalMember(data []byte) (from, to int, found bool) {
	depth, member := 0, false // member: a string at depth 1 in the place of a name
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			depth++
			member = depth == 1
		case '}', ']':
			depth--
		case ',':
			member = depth == 1
		case '"':
			end := stringEnd(data, i)
			if end < 0 {
				return 0, 0, false
			}
			if member && string(data[i:end]) == `"personal"` {
				return valueAfter(data, end)
			}
			member = false
			i = end - 1
		}
	}
	return 0, 0, false
}

// valueAfter finds the value that follows a member's name.
func valueAfter(data []byte, i int) (from, to int, found bool) {
	for i < len(data) && (data[i] == ':' || data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	from, depth := i, 0
	for ; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return from, i, i > from
			}
		case ',':
			if depth == 0 {
				return from, i, i > from
			}
		case '"':
			end := stringEnd(data, i)
			if end < 0 {
				return 0, 0, false
			}
			i = end - 1
		}
	}
	return 0, 0, false
}

// stringEnd is where the JSON string that begins at i ends, behind its quote; -1
// if it does not.
func stringEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}
