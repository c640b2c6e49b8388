package access

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// A ViewKind is what a view shows. The values are stored.
type ViewKind string

// The kinds of views.
const (
	ViewMessage  ViewKind = "message"
	ViewCampaign ViewKind = "campaign"
	ViewSender   ViewKind = "sender"
)

// A View is what a token for a page of someone else shows, and nothing beyond it. It is in the token and
// not in the log, because a label can be personal data.
type View struct {
	Kind ViewKind `json:"kind"`
	// ID is the ID of the message or the sender.
	ID string `json:"id,omitempty"`
	// Label and Value are the label of the campaign's messages.
	Label string `json:"label,omitempty"`
	Value string `json:"value,omitempty"`
}

// CreateViewToken creates a token for one view, which is valid for ttl, but never longer than its issuer.
// It is an access token with the scopes READ and, if personal is set, PERSONAL. Nothing but its view
// accepts it.
func CreateViewToken(issuer Issuer, in Request, v View, personal bool, ttl time.Duration, now time.Time) ([]domain.Event, error) {
	in.Scopes = []Scope{ScopeRead}
	if personal {
		in.Scopes = append(in.Scopes, ScopePersonal)
	}
	events, err := CreateToken(issuer, in, ttl, now)
	if err != nil {
		return nil, err
	}
	created, _ := events[0].(KeyCreated)
	created.View = v.Kind
	return []domain.Event{created}, nil
}
