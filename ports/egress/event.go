package egress

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/waypost/waypost/app/event"
)

const (
	// typePrefix is the prefix of the type of every published event. The event's name in
	// the event log follows.
	typePrefix = "waypost."
	// contentType is the content type of an event in CloudEvents' structured mode.
	contentType = "application/cloudevents+json"
	// subjectKey is the metadata key of the ID of the message or alert.
	subjectKey = "ce-subject"
)

// CloudEvent is a published event of a message: CloudEvents 1.0 in the structured mode of
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
	// Subject is the message ID.
	Subject string `json:"subject"`
	// Time is when the event occurred. RecordedAt is when it was recorded.
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	// Sender is the sender ID.
	Sender string `json:"sender,omitempty"`
	// Revision numbers the events of the message from 0, in order.
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
