package egress

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
)

// AlertFormat is the format of alert notifications.
type AlertFormat string

// The formats.
const (
	// FormatWaypost is the alert with the names of the GraphQL schema, signed as
	// Standard Webhooks specifies.
	FormatWaypost AlertFormat = "waypost"
	// FormatSlack is for Slack's incoming webhooks.
	FormatSlack AlertFormat = "slack"
	// FormatPagerDuty is for PagerDuty's Events API v2.
	FormatPagerDuty AlertFormat = "pagerduty"
)

const (
	jsonType = "application/json"
	// maxSummary is PagerDuty's limit for a summary, and maxBlock is Slack's limit for a
	// text in a block, both in characters.
	maxSummary, maxBlock = 1024, 3000
)

// transitionOf returns the name of the transition that an event of an alert records. It
// returns the empty string for events that receivers are not notified of. a is the alert
// right after the event.
//
// An alert that is raised under a silence is reported when the silence ends, if it is still
// open and no one has acknowledged it; otherwise, never. Receivers that were notified of an
// alert are also notified of what follows, so that no incident stays open.
func transitionOf(e domain.Event, a alert.Alert) string {
	switch e := e.(type) {
	case alert.AlertRaised:
		if !a.Unheard {
			return "raised"
		}
	case alert.AlertUnsilenced:
		if e.Notify {
			return "raised"
		}
	case alert.AlertAcknowledged:
		if !a.Unheard {
			return "acknowledged"
		}
	case alert.AlertResolved:
		if !a.Unheard {
			return "resolved"
		}
	}
	return ""
}

// encode returns the body of the notification of a transition.
func (f AlertFormat) encode(transition string, a query.Alert) ([]byte, error) {
	switch f {
	case FormatSlack:
		return json.Marshal(newSlackMessage(transition, a))
	case FormatPagerDuty:
		return json.Marshal(newPagerDutyEvent(transition, a))
	case FormatWaypost:
	}
	return json.Marshal(alertNotification{Type: "alert." + transition, Timestamp: a.At, Data: newNotifiedAlert(a)})
}

// seal returns body with PagerDuty's routing key, which is kept in memory only for one
// attempt. For other formats, it returns body unchanged.
func (f AlertFormat) seal(body []byte, secret string) ([]byte, error) {
	if f != FormatPagerDuty {
		return body, nil
	}
	key, err := json.Marshal(secret)
	if err != nil {
		return nil, fmt.Errorf("routing key: %w", err)
	}
	return slices.Concat([]byte(`{"routing_key":`), key, []byte(","), body[len("{"):]), nil
}

// alertNotification has the members that Standard Webhooks recommends.
type alertNotification struct {
	// Type is alert.raised, alert.acknowledged, or alert.resolved.
	Type      string        `json:"type"`
	Timestamp time.Time     `json:"timestamp"`
	Data      notifiedAlert `json:"data"`
}

// notifiedAlert is an alert right after a transition, with the names of the GraphQL
// schema.
type notifiedAlert struct {
	ID       string         `json:"id"`
	Kind     alert.Kind     `json:"kind"`
	Severity alert.Severity `json:"severity"`
	State    alert.State    `json:"state"`
	// SenderID is null if the alert is about all senders.
	SenderID       *string        `json:"senderId"`
	Summary        string         `json:"summary"`
	Value          float64        `json:"value"`
	Threshold      float64        `json:"threshold"`
	Explanation    []string       `json:"explanation"`
	RaisedAt       time.Time      `json:"raisedAt"`
	AcknowledgedAt time.Time      `json:"acknowledgedAt,omitzero"`
	AcknowledgedBy *notifiedActor `json:"acknowledgedBy,omitempty"`
	Note           string         `json:"note,omitempty"`
	ResolvedAt     time.Time      `json:"resolvedAt,omitzero"`
}

type notifiedActor struct {
	Kind       domain.ActorKind `json:"kind"`
	ID         string           `json:"id"`
	OnBehalfOf string           `json:"onBehalfOf,omitempty"`
}

func newNotifiedAlert(a query.Alert) notifiedAlert {
	n := notifiedAlert{
		ID: a.ID.String(), Kind: a.Kind, Severity: a.Severity, State: a.State, Summary: a.Summary, Value: a.Value,
		Threshold: a.Threshold, Explanation: append([]string{}, a.Explanation...), RaisedAt: a.RaisedAt,
		AcknowledgedAt: a.AcknowledgedAt, Note: a.Note, ResolvedAt: a.ResolvedAt,
	}
	if a.Sender != "" {
		n.SenderID = &a.Sender
	}
	if !a.AcknowledgedAt.IsZero() {
		n.AcknowledgedBy = &notifiedActor{a.AcknowledgedBy.Kind, a.AcknowledgedBy.ID, a.AcknowledgedFor}
	}
	return n
}

// slackMessage is the body that Slack's incoming webhooks accept: text for
// notifications, and blocks for the channel.
type slackMessage struct {
	Text   string       `json:"text"`
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// slackEscapes escapes the three characters that are part of Slack's markup.
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func newSlackMessage(transition string, a query.Alert) slackMessage {
	head := fmt.Sprintf("%s %s %s", a.Severity, a.Kind, transition)
	text := "*" + head + "*\n" + slackEscapes.Replace(a.Summary)
	var small []string
	switch transition {
	case "acknowledged":
		small = []string{"by " + string(a.AcknowledgedBy.Kind) + " " + a.AcknowledgedBy.ID}
		if a.Note != "" {
			small = append(small, a.Note)
		}
	case "resolved":
		small = []string{"after " + alert.Spell(a.ResolvedAt.Sub(a.RaisedAt))}
	default:
		small = slices.Clone(a.Explanation)
	}
	small = append(small, "alert "+a.ID.String())
	return slackMessage{
		Text: head + ": " + slackEscapes.Replace(a.Summary),
		Blocks: []slackBlock{
			{Type: "section", Text: &slackText{"mrkdwn", cut(text, maxBlock)}},
			{Type: "context", Elements: []slackText{{"mrkdwn", cut(slackEscapes.Replace(strings.Join(small, "\n")), maxBlock)}}},
		},
	}
}

// pagerDutyEvent is an event of the Events API v2, without its routing key.
type pagerDutyEvent struct {
	Action string `json:"event_action"`
	// DedupKey is the alert ID. PagerDuty keeps one incident per key.
	DedupKey string            `json:"dedup_key"`
	Client   string            `json:"client"`
	Payload  *pagerDutyPayload `json:"payload,omitempty"`
}

type pagerDutyPayload struct {
	Summary   string        `json:"summary"`
	Source    string        `json:"source"`
	Severity  string        `json:"severity"`
	Timestamp time.Time     `json:"timestamp"`
	Component string        `json:"component,omitempty"`
	Class     alert.Kind    `json:"class"`
	Details   notifiedAlert `json:"custom_details"`
}

func newPagerDutyEvent(transition string, a query.Alert) pagerDutyEvent {
	e := pagerDutyEvent{Action: "trigger", DedupKey: a.ID.String(), Client: "Waypost"}
	switch transition {
	case "acknowledged":
		e.Action = "acknowledge"
		return e
	case "resolved":
		e.Action = "resolve"
		return e
	}
	e.Payload = &pagerDutyPayload{
		Summary: cut(a.Summary, maxSummary), Source: "waypost", Severity: strings.ToLower(string(a.Severity)),
		Timestamp: a.RaisedAt, Component: a.Sender, Class: a.Kind, Details: newNotifiedAlert(a),
	}
	return e
}

// cut returns text, shortened to most characters if it is longer.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
