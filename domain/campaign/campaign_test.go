package campaign_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/campaign"
)

var (
	at     = time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	spring = domain.Label{Name: "campaign", Value: "spring"}
	first  = uuid.MustParse("0193a1b2-0000-7000-8000-000000000001")
	second = uuid.MustParse("0193a1b2-0000-7000-8000-000000000002")
	anna   = domain.Actor{Kind: domain.ActorKey, ID: "anna"}
)

// after returns the pauses after events that were recorded one minute after the other.
func after(have campaign.Pauses, events ...domain.Event) campaign.Pauses {
	for i, e := range events {
		have = have.Apply(campaign.Record{Event: e, At: at.Add(time.Duration(i) * time.Minute), By: anna})
	}
	return have
}

func TestACampaignIsPausedAndResumedOnce(t *testing.T) {
	t.Parallel()
	paused := campaign.CampaignPaused{Pause: first, Reason: "wrong prices", Personal: campaign.PausedPersonal{Label: spring}}
	have := after(nil, paused)
	if p, ok := have.Of(spring); !ok || !reflect.DeepEqual(p, campaign.Pause{ID: first, Label: spring, Reason: "wrong prices", Since: at, By: anna}) {
		t.Errorf("paused: %+v", p)
	}
	for name, c := range map[string]struct {
		have   campaign.Pauses
		reason string
		want   []domain.Event
	}{
		"a new one":             {nil, "wrong prices", []domain.Event{campaign.CampaignPaused{Pause: second, Reason: "wrong prices", Personal: paused.Personal}}},
		"again":                 {have, "wrong prices", nil},
		"for another reason":    {have, "legal", []domain.Event{campaign.CampaignPaused{Pause: first, Reason: "legal", Personal: paused.Personal}}},
		"again after its end":   {after(have, campaign.CampaignResumed{Pause: first}), "x", []domain.Event{campaign.CampaignPaused{Pause: second, Reason: "x", Personal: paused.Personal}}},
		"while another one has": {after(nil, campaign.CampaignPaused{Pause: first, Personal: campaign.PausedPersonal{Label: domain.Label{Name: "campaign"}}}), "x", []domain.Event{campaign.CampaignPaused{Pause: second, Reason: "x", Personal: paused.Personal}}},
	} {
		got, err := campaign.Start(c.have, second, spring, c.reason)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v and %v, want %+v", name, got, err, c.want)
		}
	}
	resumed := []domain.Event{campaign.CampaignResumed{Pause: first}}
	if got, err := campaign.End(have, spring); err != nil || !reflect.DeepEqual(got, resumed) {
		t.Errorf("resumed by %+v and %v", got, err)
	}
	if got := campaign.EndPause(have, first); !reflect.DeepEqual(got, resumed) {
		t.Errorf("resumed by its ID by %+v", got)
	}
	over := after(have, resumed...)
	if got, err := campaign.End(over, spring); err != nil || got != nil {
		t.Errorf("resumed twice by %+v and %v", got, err)
	}
	if got := campaign.EndPause(over, first); got != nil {
		t.Errorf("resumed twice by its ID by %+v", got)
	}
}

// A pause whose label can't be read holds all messages with labels until it ends, and doesn't keep
// other campaigns from being paused.
func TestAPauseWithoutItsLabelHoldsAllLabels(t *testing.T) {
	t.Parallel()
	have := after(nil, campaign.CampaignPaused{Pause: first, Reason: "wrong prices"})
	unread, _ := have.ByID(first)
	if unread.HasLabel() || !unread.Holds([]domain.Label{spring}) || unread.Holds(nil) || unread.IsOf(domain.Label{}) {
		t.Errorf("the pause is %+v", unread)
	}
	var fault *domain.Error
	if got, err := campaign.End(have, spring); got != nil || !errors.As(err, &fault) || fault.Code != domain.CodeConflict || !strings.Contains(fault.Message, first.String()) {
		t.Errorf("resumed by %+v and %v", got, err)
	}
	started, err := campaign.Start(have, second, spring, "legal")
	have = after(have, started...)
	if p, ok := have.Of(spring); err != nil || !ok || p.ID != second {
		t.Errorf("paused again: %+v, %v", have, err)
	}
	// The label can be read again.
	known := after(have, campaign.CampaignPaused{Pause: first, Personal: campaign.PausedPersonal{Label: spring}})
	if got, err := campaign.End(known, spring); err != nil || len(got) != 2 || len(after(known, got...)) != 0 {
		t.Errorf("two pauses of a label are resumed by %+v and %v", got, err)
	}
	// A pause that began with a label keeps it.
	known = after(known, campaign.CampaignPaused{Pause: first, Reason: "legal"})
	if p, _ := known.ByID(first); p.Label != spring || p.Reason != "legal" || len(known.Unreadable()) > 0 {
		t.Errorf("paused for another reason: %+v", known)
	}
	if got := after(have, campaign.EndPause(have, first)...); len(got) != 1 || got[0].ID != second {
		t.Errorf("after the end of the one without a label, %+v are left", got)
	}
}

func TestAPauseMustBeValid(t *testing.T) {
	t.Parallel()
	var many campaign.Pauses
	for i := range campaign.MaxPauses {
		many = after(many, campaign.CampaignPaused{Pause: uuid.New(), Reason: "r", Personal: campaign.PausedPersonal{Label: domain.Label{Name: "campaign", Value: fmt.Sprint(i)}}})
	}
	for name, c := range map[string]struct {
		have   campaign.Pauses
		label  domain.Label
		reason string
		code   domain.Code
		field  string
	}{
		"no name":        {nil, domain.Label{Value: "spring"}, "r", domain.CodeInvalidInput, "label.name"},
		"a long value":   {nil, domain.Label{Name: "campaign", Value: strings.Repeat("x", 257)}, "r", domain.CodeInvalidInput, "label.value"},
		"no reason":      {nil, spring, "", domain.CodeInvalidInput, "reason"},
		"one pause more": {many, spring, "r", domain.CodeConflict, ""},
		"a control byte": {nil, spring, "r\x00", domain.CodeInvalidInput, "reason"},
	} {
		events, err := campaign.Start(c.have, first, c.label, c.reason)
		var fault *domain.Error
		if events != nil || !errors.As(err, &fault) || fault.Code != c.code || fault.Field != c.field {
			t.Errorf("%s: %+v and %v, want %s of %q", name, events, err, c.code, c.field)
		}
	}
	if _, err := campaign.Start(many, first, domain.Label{Name: "campaign", Value: "7"}, "another reason"); err != nil {
		t.Errorf("a paused campaign cannot get another reason: %v", err)
	}
}
