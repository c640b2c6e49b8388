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

// KeyID names a data key. It is random and says nothing of the person whose data
// the key seals: it stands in the log for ever.
type KeyID string

// Subject is whom the personal data of an event are about.
type Subject struct {
	// People are phone numbers in any notation or WhatsApp's user ids. Data about
	// several people are readable for as long as none of them is forgotten. Data
	// about nobody in particular are sealed under a key of the installation.
	People []string
	// Key is that of the stream's first event: a message's later events share the
	// fate of its first, whatever is known of the recipient when they are recorded.
	// People are then further names of the same person.
	Key KeyID
}

// Vault keeps the data keys under which personal data are sealed. Data keys live
// outside the log: when one is destroyed, what it sealed can be read nowhere.
type Vault interface {
	// Seal encrypts plain for its subject and answers the key that it took. about
	// binds it to its place: it opens nowhere else. Nothing is sealed, and no error
	// is given, if the subject's key is destroyed.
	Seal(ctx context.Context, s Subject, about string, plain []byte) (sealed []byte, key KeyID, err error)
	// Open decrypts what Seal made. *ErasedError if the key is destroyed, ErrLocked
	// if it cannot be had at the moment.
	Open(ctx context.Context, key KeyID, about string, sealed []byte) ([]byte, error)
	// Fetch makes keys ready for Open in one go. ErrLocked if they cannot be had.
	Fetch(ctx context.Context, keys []KeyID) error
}

// ErrLocked says that personal data cannot be read at the moment: their key is
// not at hand and the vault is away.
var ErrLocked = errors.New("the data key is not at hand and the vault is away")

// ErasedError says that personal data can never be read again.
type ErasedError struct {
	// At is when their key was destroyed.
	At time.Time
}

func (e *ErasedError) Error() string { return "its personal data are erased" }

// Personal says what can be read of an event's personal data.
type Personal uint8

// The states of an event's personal data.
const (
	// Clear: there are none, or they can be read.
	Clear Personal = iota
	// Erased: their key is destroyed; they are null from now on.
	Erased
	// Locked: they were not asked for, or their key is not at hand. They are null
	// in what was read, and nothing may be concluded from that.
	Locked
)

// sealedForm begins the text of a sealed member: its version. Behind it stand the
// key's id and base64 of what the vault made. A member that is no text was
// recorded before personal data were sealed.
const sealedForm = "v1"

// sealMember replaces the member "personal" of an event's JSON by its sealed form.
func (c *Codec) sealMember(ctx context.Context, stream string, n New, data []byte) ([]byte, KeyID, error) {
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

// openMember puts the plain form of the member "personal" back in its place, or
// null if it cannot be read, and completes r with what it finds.
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
			return nil, fmt.Errorf("its personal data are no base64: %w", err)
		}
		opened, err := c.vault.Open(ctx, key, placeOf(r.Stream, r.Type), sealed)
		var erased *ErasedError
		switch {
		case err == nil:
			r.Personal, plain = Clear, opened
		case errors.As(err, &erased):
			r.Personal, r.ErasedAt = Erased, erased.At
		case !errors.Is(err, ErrLocked):
			return nil, fmt.Errorf("open its personal data: %w", err)
		}
	}
	out := make([]byte, 0, len(data)-(to-from)+len(plain))
	out = append(append(out, data[:from]...), plain...)
	return append(out, data[to:]...), nil
}

// KeyOf is the data key that an event's JSON, as it stands in the log, is sealed
// under; empty if nothing of it is.
func KeyOf(data []byte) KeyID {
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

// Sealed is what the vault made of an event's personal data, with its key and its
// place; false if nothing of the event is sealed.
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

// placeOf is what personal data are bound to: they can be moved to no other stream
// and to no other type of event.
func placeOf(stream, typ string) string { return typ + "\n" + stream }

func parseSealed(quoted []byte) (key KeyID, text []byte, err error) {
	form, rest, _ := bytes.Cut(bytes.Trim(quoted, `"`), []byte{'.'})
	id, text, found := bytes.Cut(rest, []byte{'.'})
	if string(form) != sealedForm || !found || len(id) == 0 {
		return "", nil, fmt.Errorf("its personal data have the form %.8q, which this program does not know: use a newer one", form)
	}
	return KeyID(strings.Clone(string(id))), text, nil
}

// personalMember finds the value of the member "personal" of a JSON object. It
// walks the object's own members alone: what is nested may hold anything. The
// object is taken to be well-formed; one that is not has no such member.
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
