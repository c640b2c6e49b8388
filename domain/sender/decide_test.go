package sender_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func registration() sender.Registration {
	return sender.Registration{
		ID: "shop-eu", Name: "Shop Europe", PhoneNumberID: "106540352242922", DisplayPhoneNumber: "+1 415 555 0101",
		BusinessAccountID: "102290129340398", Rate: sender.DefaultRate, TokenID: "token-1",
	}
}

// registered is the sender of registration after these further events, one minute apart.
func registered(t *testing.T, further ...domain.Event) sender.Sender {
	t.Helper()
	events, err := sender.Register(sender.Sender{}, registration())
	if err != nil {
		t.Fatal(err)
	}
	return fold(append(events, further...))
}

func fold(events []domain.Event) sender.Sender {
	records := make([]sender.Record, len(events))
	for i, e := range events {
		records[i] = sender.Record{Event: e, At: start.Add(time.Duration(i) * time.Minute)}
	}
	return sender.Fold(records)
}

func rejects(t *testing.T, err error, code domain.Code, field, want string) {
	t.Helper()
	var e *domain.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want a *domain.Error", err)
	}
	if e.Code != code || e.Field != field || !strings.Contains(e.Message, want) {
		t.Errorf("error is %s at %q: %s; want %s at %q, saying %q", e.Code, e.Field, e.Message, code, field, want)
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	got := registered(t)
	want := sender.Sender{
		ID: "shop-eu", Name: "Shop Europe", PhoneNumberID: "106540352242922", DisplayPhoneNumber: "+1 415 555 0101",
		BusinessAccountID: "102290129340398", Rate: 80, TokenID: "token-1", Version: 1, RegisteredAt: start,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("sender is %+v, want %+v", got, want)
	}
	if !got.Registered() || got.State() != sender.StateActive {
		t.Errorf("registered %t, state %s", got.Registered(), got.State())
	}
}

func TestRegisterInput(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*sender.Registration)
		field  string // empty: accepted
		want   string
	}{
		"all":               {func(*sender.Registration) {}, "", ""},
		"only what it must": {func(r *sender.Registration) { r.DisplayPhoneNumber, r.BusinessAccountID, r.TokenID = "", "", "" }, "", ""},
		"id at its limit":   {func(r *sender.Registration) { r.ID = strings.Repeat("a", 62) + "-_" }, "", ""},
		"slowest":           {func(r *sender.Registration) { r.Rate = 1 }, "", ""},
		"fastest":           {func(r *sender.Registration) { r.Rate = 1000 }, "", ""},
		"name of 128":       {func(r *sender.Registration) { r.Name = strings.Repeat("é", 128) }, "", ""},

		"no id":            {func(r *sender.Registration) { r.ID = "" }, "id", "1 to 64"},
		"long id":          {func(r *sender.Registration) { r.ID = strings.Repeat("a", 65) }, "id", "65"},
		"id with a dot":    {func(r *sender.Registration) { r.ID = "a.b" }, "id", "byte 1"},
		"id with umlaut":   {func(r *sender.Registration) { r.ID = "ä" }, "id", "byte 0"},
		"no name":          {func(r *sender.Registration) { r.Name = "" }, "name", "1 to 128"},
		"long name":        {func(r *sender.Registration) { r.Name = strings.Repeat("a", 129) }, "name", "129"},
		"broken name":      {func(r *sender.Registration) { r.Name = "\xff" }, "name", "UTF-8"},
		"no number":        {func(r *sender.Registration) { r.PhoneNumberID = "" }, "phoneNumberId", "1 to 32"},
		"long number":      {func(r *sender.Registration) { r.PhoneNumberID = strings.Repeat("1", 33) }, "phoneNumberId", "33"},
		"number with plus": {func(r *sender.Registration) { r.PhoneNumberID = "+14155550101" }, "phoneNumberId", "byte 0"},
		"long display":     {func(r *sender.Registration) { r.DisplayPhoneNumber = strings.Repeat("1", 33) }, "displayPhoneNumber", "33"},
		"account letters":  {func(r *sender.Registration) { r.BusinessAccountID = "waba" }, "businessAccountId", "digit"},
		"no rate":          {func(r *sender.Registration) { r.Rate = 0 }, "messagesPerSecond", "1 to 1000"},
		"rate too high":    {func(r *sender.Registration) { r.Rate = 1001 }, "messagesPerSecond", "1001"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := registration()
			c.change(&in)
			events, err := sender.Register(sender.Sender{}, in)
			if c.field != "" {
				rejects(t, err, domain.CodeInvalidInput, c.field, c.want)
				return
			}
			if err != nil || len(events) != 1 {
				t.Errorf("events are %v, error %v; want one event", events, err)
			}
		})
	}
}

func TestRegisterAgain(t *testing.T) {
	t.Parallel()
	s := registered(t)
	if events, err := sender.Register(s, registration()); err != nil || len(events) != 0 {
		t.Errorf("repeated: %v, %v; want nothing", events, err)
	}
	in := registration()
	in.TokenID = ""
	if events, err := sender.Register(s, in); err != nil || len(events) != 0 {
		t.Errorf("the same without a token: %v, %v; want nothing", events, err)
	}
	in.TokenID = "token-2"
	events, err := sender.Register(s, in)
	if want := []domain.Event{sender.TokenChanged{TokenID: "token-2"}}; err != nil || !reflect.DeepEqual(events, want) {
		t.Errorf("the same with another token: %v, %v; want %v", events, err, want)
	}
	for name, change := range map[string]func(*sender.Registration){
		"name":    func(r *sender.Registration) { r.Name = "x" },
		"number":  func(r *sender.Registration) { r.PhoneNumberID = "1" },
		"display": func(r *sender.Registration) { r.DisplayPhoneNumber = "" },
		"account": func(r *sender.Registration) { r.BusinessAccountID = "1" },
		"rate":    func(r *sender.Registration) { r.Rate = 1 },
	} {
		in := registration()
		change(&in)
		events, err := sender.Register(s, in)
		rejects(t, err, domain.CodeConflict, "", "shop-eu")
		if len(events) != 0 {
			t.Errorf("another %s gave %v", name, events)
		}
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := registered(t)
	name := "Shop"
	events, err := sender.Update(s, sender.Changes{Name: &name, DisplayPhoneNumber: &s.DisplayPhoneNumber, BusinessAccountID: new("")})
	want := []domain.Event{sender.SenderUpdated{Name: new("Shop"), BusinessAccountID: new("")}}
	if err != nil || !reflect.DeepEqual(events, want) {
		t.Fatalf("events are %v, %v; want only what changed", events, err)
	}
	name = "changed by the caller"
	after := registered(t, events...)
	if after.Name != "Shop" || after.BusinessAccountID != "" || after.DisplayPhoneNumber != s.DisplayPhoneNumber {
		t.Errorf("sender is %+v", after)
	}
	for field, in := range map[string]sender.Changes{
		"name":               {Name: new("")},
		"displayPhoneNumber": {DisplayPhoneNumber: new(strings.Repeat("1", 33))},
		"businessAccountId":  {BusinessAccountID: new("x")},
	} {
		_, err := sender.Update(s, in)
		rejects(t, err, domain.CodeInvalidInput, field, "")
	}
}

func TestSetRate(t *testing.T) {
	t.Parallel()
	events, err := sender.SetRate(registered(t), 250)
	if err != nil {
		t.Fatal(err)
	}
	if got := registered(t, events...).Rate; got != 250 {
		t.Errorf("rate is %d, want 250", got)
	}
	for _, n := range []int{-1, 0, 1001} {
		_, err := sender.SetRate(registered(t), n)
		rejects(t, err, domain.CodeInvalidInput, "messagesPerSecond", "1 to 1000")
	}
}

func TestChangeToken(t *testing.T) {
	t.Parallel()
	events, err := sender.ChangeToken(registered(t), "token-2")
	if err != nil {
		t.Fatal(err)
	}
	if got := registered(t, events...).TokenID; got != "token-2" {
		t.Errorf("token is %q, want token-2", got)
	}
	_, err = sender.ChangeToken(registered(t), "")
	rejects(t, err, domain.CodeInvalidInput, "accessToken", "empty")
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	s := registered(t)
	events, err := sender.Pause(s, []string{"BULK", "BULK"}, "campaign stopped")
	if want := []domain.Event{sender.SenderPaused{Priorities: []string{"BULK"}, Reason: "campaign stopped"}}; err != nil || !reflect.DeepEqual(events, want) {
		t.Fatalf("events are %v, %v; want %v", events, err, want)
	}
	log := events
	s = registered(t, log...)
	if s.State() != sender.StateActive || !s.Paused("BULK") || s.Paused("OTP") {
		t.Errorf("after pausing BULK: %s, paused %v; want ACTIVE", s.State(), s.PausedPriorities)
	}

	events, err = sender.Pause(s, nil, "closed")
	if err != nil {
		t.Fatal(err)
	}
	log = append(log, events...)
	s = registered(t, log...)
	if s.State() != sender.StatePaused || !reflect.DeepEqual(s.PausedPriorities, sender.Priorities()) || s.PauseReason != "closed" {
		t.Errorf("after pausing all: %s, paused %v for %q; want PAUSED", s.State(), s.PausedPriorities, s.PauseReason)
	}

	events, err = sender.Resume(s)
	if err != nil {
		t.Fatal(err)
	}
	s = registered(t, append(log, events...)...)
	if s.State() != sender.StateActive || len(s.PausedPriorities) != 0 || s.PauseReason != "" {
		t.Errorf("after resuming: %s, paused %v for %q; want ACTIVE", s.State(), s.PausedPriorities, s.PauseReason)
	}

	_, err = sender.Pause(s, []string{"OTP", "otp"}, "x")
	rejects(t, err, domain.CodeInvalidInput, "priorities.1", `"otp"`)
	_, err = sender.Pause(s, nil, "")
	rejects(t, err, domain.CodeInvalidInput, "reason", "1 to 1024")
	_, err = sender.Pause(s, nil, strings.Repeat("x", 1025))
	rejects(t, err, domain.CodeInvalidInput, "reason", "1025")
}

func TestHoldAndRelease(t *testing.T) {
	t.Parallel()
	expired := sender.Fault{Code: new(190), Category: "auth", Message: "token expired", Advice: "Give a new one."}
	s := registered(t)
	events, err := sender.Hold(s, expired)
	if err != nil {
		t.Fatal(err)
	}
	s = registered(t, append(events, sender.SenderPaused{Priorities: sender.Priorities(), Reason: "x"})...)
	if s.State() != sender.StateHeld || !s.Hold.Since.Equal(start.Add(time.Minute)) || s.Hold.Message != "token expired" {
		t.Errorf("state %s, hold %+v; want HELD, before PAUSED", s.State(), s.Hold)
	}

	reworded := expired
	reworded.Code, reworded.Message = new(190), "session invalid"
	if events, err := sender.Hold(s, reworded); err != nil || len(events) != 0 {
		t.Errorf("the same fault in other words: %v, %v; want nothing", events, err)
	}
	for name, other := range map[string]sender.Fault{
		"another code":     {Code: new(0), Category: "auth"},
		"no code":          {Category: "auth"},
		"another category": {Code: new(190), Category: "account"},
	} {
		events, err := sender.Hold(s, other)
		if err != nil || len(events) != 1 {
			t.Errorf("%s: %v, %v; want one event", name, events, err)
			continue
		}
		after := s.Apply(sender.Record{Event: events[0], At: start.Add(time.Hour)})
		if !after.Hold.Since.Equal(s.Hold.Since) || !reflect.DeepEqual(after.Hold.Fault, other) {
			t.Errorf("%s: hold is %+v, want the new fault and the old time", name, after.Hold)
		}
	}

	events, err = sender.Release(s, "new token")
	if want := []domain.Event{sender.SenderReleased{Reason: "new token"}}; err != nil || !reflect.DeepEqual(events, want) {
		t.Fatalf("events are %v, %v; want %v", events, err, want)
	}
	if after := s.Apply(sender.Record{Event: events[0]}); after.State() != sender.StatePaused {
		t.Errorf("state after release is %s, want PAUSED: people's pause stays", after.State())
	}
	if s.Hold == nil {
		t.Error("applying a record changed the sender it was applied to")
	}
}

func TestNothingIsDecidedOfNoSender(t *testing.T) {
	t.Parallel()
	none := sender.Sender{}
	for name, decide := range map[string]func() ([]domain.Event, error){
		"Update":      func() ([]domain.Event, error) { return sender.Update(none, sender.Changes{}) },
		"SetRate":     func() ([]domain.Event, error) { return sender.SetRate(none, 1) },
		"ChangeToken": func() ([]domain.Event, error) { return sender.ChangeToken(none, "x") },
		"Pause":       func() ([]domain.Event, error) { return sender.Pause(none, nil, "x") },
		"Resume":      func() ([]domain.Event, error) { return sender.Resume(none) },
		"Hold":        func() ([]domain.Event, error) { return sender.Hold(none, sender.Fault{}) },
		"Release":     func() ([]domain.Event, error) { return sender.Release(none, "x") },
	} {
		events, err := decide()
		if len(events) != 0 {
			t.Errorf("%s decided %v", name, events)
		}
		rejects(t, err, domain.CodeNotFound, "", "registerSender")
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	events, err := sender.Claim("", "106540352242922", "shop-eu")
	if err != nil || len(events) != 1 {
		t.Fatalf("events are %v, %v; want one", events, err)
	}
	owner := sender.NumberOwner(append(events, sender.NumberClaimed{Sender: "late"}))
	if owner != "shop-eu" {
		t.Errorf("owner is %q, want the first to claim", owner)
	}
	if events, err := sender.Claim(owner, "106540352242922", "shop-eu"); err != nil || len(events) != 0 {
		t.Errorf("repeated: %v, %v; want nothing", events, err)
	}
	_, err = sender.Claim(owner, "106540352242922", "shop-us")
	rejects(t, err, domain.CodeConflict, "", "another sender")
	if strings.Contains(err.Error(), owner) {
		t.Errorf("the refusal names the owner, whom the caller's key may not reach: %v", err)
	}
	_, err = sender.Claim("", "x", "shop-us")
	rejects(t, err, domain.CodeInvalidInput, "phoneNumberId", "")
	_, err = sender.Claim("", "1", "shop us")
	rejects(t, err, domain.CodeInvalidInput, "id", "")
	if got := sender.NumberOwner(nil); got != "" {
		t.Errorf("owner of an unclaimed number is %q", got)
	}
}
