package egress

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/waypost/waypost/app/event"
)

const (
	// typePrefix begins the type of every event that leaves: the event's own name
	// follows, as the log has it.
	typePrefix = "waypost."
	// contentType is that of an event in CloudEvents' structured mode.
	contentType = "application/cloudevents+json"
	// subjectKey is the metadata that names the message.
	subjectKey = "ce-subject"
)

// CloudEvent is an event of a message as it leaves: CloudEvents 1.0 in the JSON
// format's structured mode, with extension attributes in lower case as it demands.
type CloudEvent struct {
	SpecVersion string `json:"specversion"`
	// ID is the event's own id in the log: what comes twice has the same.
	ID string `json:"id"`
	// Source is the log: urn:uuid: and its identity.
	Source string `json:"source"`
	// Type is "waypost." and the name of the event: waypost.Delivered.
	Type string `json:"type"`
	// Subject is the message's id.
	Subject string `json:"subject"`
	// Time is when it happened; when it was recorded stands in RecordedAt.
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	// Sender is the id of the sender.
	Sender string `json:"sender,omitempty"`
	// Revision counts the events of the message from 0: its order.
	Revision int `json:"revision"`
	// Position is that in the log, a number in decimal: CloudEvents knows none as
	// large. Positions grow and have gaps.
	Position string `json:"position"`
	// DataVersion is the version of the data's shape.
	DataVersion int       `json:"dataversion"`
	RecordedAt  time.Time `json:"recordedat"`
	// CausationID is the event, request or webhook delivery behind it.
	CausationID string `json:"causationid,omitempty"`
	Traceparent string `json:"traceparent,omitempty"`
	// Data is the event's data. Its member "personal" is there only if the setting
	// says so.
	Data json.RawMessage `json:"data"`
}

// source names a log in CloudEvents.
func source(logID string) string { return "urn:uuid:" + logID }

// newCloudEvent makes what leaves of an event of the log.
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

// dataOf is the event's data with or without what is personal. With it, it is what
// the codec has read, since that alone can; without it, what stands in the log.
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
