package egress

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/inbound"
)

const (
	// typePrefix is the prefix of the type of every published event. The event's name in
	// the event log follows.
	typePrefix = "waypost."
	// contentType is the content type of an event in CloudEvents' structured mode.
	contentType = "application/cloudevents+json"
	// subjectKey is the metadata key of the ID of the message, inbound message, or alert.
	subjectKey = "ce-subject"
)

// CloudEvent is a published event of a message, an inbound message, or an opt-out: CloudEvents 1.0 in the structured mode of
// the JSON format, with the lowercase extension attributes that the specification
// requires.
type CloudEvent struct {
	SpecVersion string `json:"specversion"`
	// ID is the event's ID in the event log. An event that is published twice has the same
	// ID both times.
	ID string `json:"id"`
	// Source is urn:uuid: and the identity of the event log.
	Source string `json:"source"`
	// Type is "waypost." and the name of the event, for example waypost.Delivered.
	Type string `json:"type"`
	// Subject is the ID of the message or the inbound message, or the stream of the sender's
	// opt-outs.
	Subject string `json:"subject"`
	// Time is when the event occurred. RecordedAt is when it was recorded.
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	// Sender is the sender ID.
	Sender string `json:"sender,omitempty"`
	// Revision numbers the events of the message from 0, in order, the inbound messages of the
	// phone number, or the opt-outs of the sender.
	Revision int `json:"revision"`
	// Position is the event's position in the event log, as a decimal string, because it
	// does not fit a CloudEvents integer. Positions increase and have gaps.
	Position string `json:"position"`
	// DataVersion is the version of the format of Data.
	DataVersion int       `json:"dataversion"`
	RecordedAt  time.Time `json:"recordedat"`
	// CausationID is the ID of the event, request, or webhook delivery that caused the event.
	CausationID string `json:"causationid,omitempty"`
	Traceparent string `json:"traceparent,omitempty"`
	// Data is the event's data. Its member "personal" is included only if the operator
	// enables it.
	Data json.RawMessage `json:"data"`
}

// subject is what a published event is about.
type subject struct {
	// id is the public ID.
	id string
	// group names the events that a broker keeps in order. It contains nothing personal. order
	// does the same within this process, and can.
	group, order string
}

// subjectOf returns the subject of an event, or false if the event is not published. A broker
// keeps all inbound messages of a number in order, because the name of a conversation would be
// personal.
func subjectOf(r event.Recorded) (subject, bool) {
	if id, ok := event.ParseMessageStream(r.Stream); ok {
		return subject{id: id.String(), group: id.String(), order: string(id[:])}, true
	}
	if _, ok := conversation.ChoiceIn(r.Event); ok {
		return subject{id: r.Stream, group: r.Stream, order: r.Stream}, true
	}
	if !strings.HasPrefix(r.Stream, event.InboundStreams) || r.Type != (inbound.InboundReceived{}).EventType() {
		return subject{}, false
	}
	of := subject{id: inbox.ID(r), group: r.Stream, order: r.Stream}
	if received, ok := r.Event.(inbound.InboundReceived); ok {
		of.order += "\n" + received.Personal.From
	}
	return of, true
}

// source returns the CloudEvents source of a log.
func source(logID string) string { return "urn:uuid:" + logID }

// newCloudEvent returns the CloudEvent for a recorded event.
func newCloudEvent(logID string, e event.Recorded, subject string, personal bool) (CloudEvent, error) {
	data, err := dataOf(e, personal)
	if err != nil {
		return CloudEvent{}, err
	}
	at := e.Meta.OccurredAt
	if at.IsZero() {
		at = e.Meta.RecordedAt
	}
	return CloudEvent{
		SpecVersion: "1.0", ID: e.ID.String(), Source: source(logID), Type: typePrefix + e.Type, Subject: subject,
		Time: at, DataContentType: "application/json", Sender: e.Meta.Sender, Revision: int(e.Revision),
		Position: strconv.FormatUint(uint64(e.Position), 10), DataVersion: e.Meta.V, RecordedAt: e.Meta.RecordedAt,
		CausationID: e.Meta.CausationID, Traceparent: e.Meta.Traceparent, Data: data,
	}, nil
}

// dataOf returns the event's data. With personal data, it encodes the event that the codec
// has decoded, because only the codec can decrypt it. Otherwise, it returns the data in
// the event log without the member "personal".
func dataOf(e event.Recorded, personal bool) (json.RawMessage, error) {
	if personal && e.Event != nil {
		data, err := json.Marshal(e.Event)
		if err != nil {
			return nil, fmt.Errorf("encode %s of %s: %w", e.Type, e.Stream, err)
		}
		return data, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(e.Data, &members); err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", e.Type, e.Stream, err)
	}
	delete(members, "personal")
	return json.Marshal(members)
}
