package sender_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

var reported = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func aReport() *rapid.Generator[sender.Report] {
	kinds := rapid.SampledFrom([]string{sender.RestrictionDisabled, "RESTRICTED_BIZ_INITIATED_MESSAGING"})
	return rapid.Custom(func(t *rapid.T) sender.Report {
		r := sender.Report{At: reported.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "at")) * time.Second)}
		switch rapid.IntRange(0, 5).Draw(t, "about") {
		case 0:
			r.Quality = rapid.SampledFrom([]sender.Quality{sender.QualityGreen, sender.QualityRed, sender.QualityUnknown}).Draw(t, "quality")
		case 1:
			r.Limit = &sender.Limit{People: rapid.SampledFrom([]int{250, 2000}).Draw(t, "limit")}
		case 2:
			r.Throughput = sender.MaxRate
		case 3:
			n := sender.Restriction{Type: kinds.Draw(t, "type"), At: r.At}
			if rapid.Bool().Draw(t, "ends") {
				n.Until = reported.Add(time.Hour)
			}
			r.Restrictions = []sender.Restriction{n}
		case 4:
			r.AllRestored = true
		default:
			r.Restored = []string{kinds.Draw(t, "restored")}
		}
		return r
	})
}

// hear returns the sender after reports.
func hear(t interface{ Fatal(...any) }, s sender.Sender, reports ...sender.Report) sender.Sender {
	for _, r := range reports {
		events, err := sender.RecordReport(s, r, reported)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			s = s.Apply(sender.Record{Event: e, At: reported})
		}
	}
	return s
}

func TestReportsLeadToTheSameStateInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		reports := rapid.SliceOfN(aReport(), 0, 6).Draw(t, "reports")
		others := append(rapid.Permutation(reports).Draw(t, "order"), reports...)
		one, other := hear(t, numbered(), reports...), hear(t, numbered(), others...)
		one.Version, other.Version, one.RestoredAt, other.RestoredAt = 0, 0, nil, nil
		if !reflect.DeepEqual(one, other) {
			t.Errorf("%+v\nin another order\n%+v", one, other)
		}
	})
}

func numbered() sender.Sender {
	in := registration()
	in.Rate = sender.DefaultRate
	events, _ := sender.Register(sender.Sender{}, in)
	return sender.Fold([]sender.Record{{Event: events[0], At: reported}})
}

func TestRestrictions(t *testing.T) {
	t.Parallel()
	restricted := func(kind string, at, until time.Time) sender.Report {
		return sender.Report{At: at, Restrictions: []sender.Restriction{{Type: kind, At: at, Until: until}}}
	}
	const templates, replies = "RESTRICTED_BIZ_INITIATED_MESSAGING", "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"
	end, later := reported.Add(time.Hour), reported.Add(time.Second)
	for name, tc := range map[string]struct {
		reports []sender.Report
		want    sender.Reach
	}{
		"none":                       {nil, sender.ReachNothing},
		"templates":                  {[]sender.Report{restricted(templates, reported, end)}, sender.ReachTemplates},
		"replies":                    {[]sender.Report{restricted(templates, reported, end), restricted(replies, reported, end)}, sender.ReachAll},
		"a ban":                      {[]sender.Report{restricted(sender.RestrictionDisabled, reported, time.Time{})}, sender.ReachAll},
		"one category":               {[]sender.Report{restricted("RESTRICTED_UTILITY_TEMPLATES", reported, end)}, sender.ReachCategory},
		"a category, and everything": {[]sender.Report{restricted("RESTRICTED_UTILITY_TEMPLATES", reported, end), restricted(templates, reported, end)}, sender.ReachTemplates},
		"direct send":                {[]sender.Report{restricted("RESTRICTED_DIRECT_SEND_UTILITY_TEMPLATES", reported, end)}, sender.ReachNothing},
		"calling":                    {[]sender.Report{restricted("RESTRICTED_USER_INITIATED_CALLING", reported, end)}, sender.ReachNothing},
		"over already":               {[]sender.Report{restricted(templates, reported, reported)}, sender.ReachNothing},
		"lifted":                     {[]sender.Report{restricted(templates, reported, end), {At: later, AllRestored: true}}, sender.ReachNothing},
		"another one is lifted":      {[]sender.Report{restricted(templates, reported, end), {At: later, Restored: []string{replies}}}, sender.ReachTemplates},
		"lifted before the next one": {[]sender.Report{{At: reported, AllRestored: true}, restricted(templates, later, end)}, sender.ReachTemplates},
	} {
		s := hear(t, numbered(), tc.reports...)
		if got := s.Reach(); got != tc.want {
			t.Errorf("%s: reach %s, want %s", name, got, tc.want)
		}
		if held := s.State() == sender.StateHeld; held != (tc.want == sender.ReachAll) {
			t.Errorf("%s: state %s", name, s.State())
		}
	}

	s := hear(t, numbered(), restricted(templates, reported, end), restricted(sender.RestrictionDisabled, reported, time.Time{}))
	if events, err := sender.EndRestrictions(s, end.Add(-1)); err != nil || events != nil {
		t.Errorf("ended early: %+v, %v", events, err)
	}
	events, err := sender.EndRestrictions(s, end)
	if want := []domain.Event{sender.AccountRestored{Type: templates, At: reported, Reason: sender.RestoredByTime}}; err != nil || !slices.Equal(events, want) {
		t.Errorf("ended with %+v, %v", events, err)
	}
	s = s.Apply(sender.Record{Event: events[0], At: end})
	if again, _ := sender.RecordReport(s, restricted(templates, reported, end), end); again != nil {
		t.Errorf("a repeat after the end: %+v", again)
	}
	if longer := hear(t, s, restricted(templates, later, end.Add(time.Hour))); len(longer.Restrictions) != 2 {
		t.Errorf("an extension that arrives after the end is ignored: %+v", longer.Restrictions)
	}
	if _, err := sender.LiftRestrictions(s, ""); domain.CodeOf(err) != domain.CodeInvalidInput {
		t.Errorf("no reason: %v", err)
	}
	if events, err = sender.LiftRestrictions(s, "Meta confirmed it"); err != nil || len(events) != 1 {
		t.Errorf("lifted by %+v, %v", events, err)
	}
}

func TestThroughputRaisesOnlyARateAtItsLimit(t *testing.T) {
	t.Parallel()
	upgrade := sender.Report{At: reported, Throughput: sender.MaxRate}
	s := hear(t, numbered(), upgrade)
	if s.Rate != sender.MaxRate || !s.Throughput.PausedUntil.Equal(reported.Add(time.Minute)) {
		t.Errorf("rate %d, paused until %v", s.Rate, s.Throughput.PausedUntil)
	}
	chosen := numbered()
	chosen.Rate = 20
	if s := hear(t, chosen, upgrade); s.Rate != 20 || s.Throughput.MessagesPerSecond != sender.MaxRate {
		t.Errorf("a chosen rate became %d", s.Rate)
	}
}

func TestReportsAffectTheSendersOfTheirNumbers(t *testing.T) {
	t.Parallel()
	of := func(id, account, display string) sender.Sender {
		return sender.Sender{ID: id, BusinessAccountID: account, DisplayPhoneNumber: display}
	}
	all := []sender.Sender{of("a", "1", "+1 555 010 0100"), of("b", "1", ""), of("c", "2", ""), of("d", "", "15550100100")}
	for name, tc := range map[string]struct {
		report sender.Report
		want   []string
	}{
		"account":       {sender.Report{BusinessAccountID: "1"}, []string{"a", "b"}},
		"number":        {sender.Report{BusinessAccountID: "1", DisplayPhoneNumber: "15550100100"}, []string{"a"}},
		"only number":   {sender.Report{BusinessAccountID: "2", DisplayPhoneNumber: "15550100100"}, []string{"c"}},
		"other number":  {sender.Report{BusinessAccountID: "1", DisplayPhoneNumber: "15550100199"}, nil},
		"other account": {sender.Report{BusinessAccountID: "3"}, nil},
		"no account":    {sender.Report{DisplayPhoneNumber: "15550100100"}, nil},
	} {
		var got []string
		for _, s := range tc.report.Affected(all) {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// What WhatsApp lists is recorded if it is new, doesn't undo a newer webhook, and pauses nothing.
func TestRecordListing(t *testing.T) {
	t.Parallel()
	listed := sender.Report{
		At: reported, Quality: sender.QualityGreen, Limit: &sender.Limit{People: 2000}, Throughput: sender.DefaultRate,
	}
	s := numbered()
	list := func(r sender.Report) []domain.Event {
		t.Helper()
		events, err := sender.RecordListing(s, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			s = s.Apply(sender.Record{Event: e.(sender.Event), At: r.At})
		}
		return events
	}
	if events := list(listed); len(events) != 3 || s.Quality != sender.QualityGreen || s.Limit.People != 2000 || !s.Throughput.PausedUntil.Equal(reported) {
		t.Errorf("the first listing leads to %+v", events)
	}
	listed.At = reported.Add(time.Hour)
	if events := list(listed); len(events) > 0 {
		t.Errorf("a listing that says nothing new leads to %+v", events)
	}
	s = hear(t, s, sender.Report{At: listed.At.Add(time.Second), Quality: sender.QualityRed})
	if events := list(listed); len(events) > 0 || s.Quality != sender.QualityRed {
		t.Errorf("a listing from before a webhook leads to %+v", events)
	}
	listed.At, listed.Throughput = listed.At.Add(time.Hour), sender.MaxRate
	if events := list(listed); len(events) != 3 || s.Quality != sender.QualityGreen || s.Rate != sender.MaxRate {
		t.Errorf("an upgrade without a webhook leads to %+v, rate %d", events, s.Rate)
	}
	s = numbered()
	if list(listed); s.Rate != sender.DefaultRate {
		t.Errorf("a first listing raises the rate to %d", s.Rate)
	}
}

func TestARestrictionIsDescribedInWords(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]sender.Restriction{
		"no templates of the category UTILITY until 2 December 2026 14:05 UTC (RESTRICTED_UTILITY_TEMPLATES)": {
			Type: "RESTRICTED_UTILITY_TEMPLATES", Until: time.Date(2026, 12, 2, 15, 5, 0, 0, time.FixedZone("CET", 3600)),
		},
		"no templates (RESTRICTED_BIZ_INITIATED_MESSAGING)":          {Type: "RESTRICTED_BIZ_INITIATED_MESSAGING"},
		"no messages (ACCOUNT_DISABLED)":                             {Type: sender.RestrictionDisabled},
		"a ban is announced (SCHEDULE_FOR_DISABLE)":                  {Type: sender.RestrictionScheduled},
		"no message is affected (RESTRICTED_USER_INITIATED_CALLING)": {Type: "RESTRICTED_USER_INITIATED_CALLING"},
	} {
		if got := r.Describe(); got != want {
			t.Errorf("%s: %q, want %q", r.Type, got, want)
		}
	}
}
