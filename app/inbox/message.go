// Package inbox reads the messages that people wrote to the numbers of senders. It reads them
// from the event log, where each is one event of the number's stream, so that a message can be
// read as soon as its webhook is recorded, and is forgotten with the person.
package inbox

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/inbound"
)

// Message is a message that someone wrote.
type Message struct {
	inbound.InboundReceived

	// ID is the public ID of the message, see ID.
	ID string
	// SenderID is the sender that the message was written to.
	SenderID string
	// Position is that of the message's event in the event log.
	Position   event.Position
	RecordedAt time.Time
	// ErasedAt is when the person's data was erased, or zero. The personal part is then empty.
	ErasedAt time.Time
}

// WrittenAt returns when the person wrote the message, or if WhatsApp gave no time, when it was
// recorded.
func (m Message) WrittenAt() time.Time {
	if m.At.IsZero() {
		return m.RecordedAt
	}
	return m.At
}

// Content returns the object with the content: the member that has the type's name. If there is
// none, as in a message of an unsupported type, it returns the whole message.
func (m Message) Content() json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(m.Personal.Message, &members) == nil && len(members[m.Type]) > 0 {
		return members[m.Type]
	}
	return m.Personal.Message
}

// A File is a file that a person sent, as the message names it.
type File struct {
	// MediaID is WhatsApp's ID of the file.
	MediaID string
	// Name is the name that the person gave it. Only documents have one.
	Name string
}

// mediaID is the form of WhatsApp's IDs of files. They become part of a URL.
var mediaID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,128}$`)

// File returns the file of the message, or false if it has none.
func (m Message) File() (File, bool) {
	switch m.Type {
	case "image", "video", "audio", "document", "sticker":
	default:
		return File{}, false
	}
	var content struct {
		ID   string `json:"id"`
		Name string `json:"filename"`
	}
	if json.Unmarshal(m.Content(), &content) != nil || !mediaID.MatchString(content.ID) {
		return File{}, false
	}
	return File{MediaID: content.ID, Name: content.Name}, true
}

// checked is the number of bytes of an event's ID in the public ID.
const checked = 4

// ID returns the public ID of an event of an inbound message: the phone number ID, the event's
// revision in the number's stream, and the beginning of the event's ID. It is enough to find the
// event without an index. After a rollback of the event log, another message can have the same
// revision, but it does not have the same ID.
func ID(e event.Recorded) string {
	return fmt.Sprintf("%s-%d-%x", strings.TrimPrefix(e.Stream, event.InboundStreams), e.Revision, e.ID[:checked])
}

// place is where the event of a public ID is.
type place struct {
	phoneNumberID string
	revision      event.Revision
	check         string
}

// parseID parses a public ID. It returns false if it does not have the form of one.
func parseID(id string) (place, bool) {
	parts := strings.Split(id, "-")
	if len(parts) != 3 || event.StreamPart(parts[0]) != parts[0] {
		return place{}, false
	}
	revision, err := strconv.ParseUint(parts[1], 10, 63)
	check, broken := hex.DecodeString(parts[2])
	if err != nil || broken != nil || len(check) != checked {
		return place{}, false
	}
	return place{phoneNumberID: parts[0], revision: event.Revision(revision), check: parts[2]}, true
}

// ValidID reports whether an ID has the form of the ID of an inbound message.
func ValidID(id string) bool {
	_, ok := parseID(id)
	return ok
}

// messageOf returns the message of an event, or false if the event is not one of an inbound
// message.
func messageOf(e event.Recorded, senderID string) (Message, bool) {
	m := Message{
		ID: "", SenderID: senderID, Position: e.Position, RecordedAt: e.Meta.RecordedAt, ErasedAt: e.ErasedAt,
	}
	switch received, ok := e.Event.(inbound.InboundReceived); {
	case ok:
		m.InboundReceived = received
	case e.Type != domain.TypeOf[inbound.InboundReceived]().Name || json.Unmarshal(e.Data, &m.InboundReceived) != nil:
		return Message{}, false
	}
	m.ID = ID(e)
	return m, true
}
