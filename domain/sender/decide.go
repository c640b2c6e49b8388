package sender

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waypost/waypost/domain"
)

// Bounds of a sender's details. The rate and the ID are limited by the public API. The other
// limits are Waypost's own, well above anything that Meta assigns.
const (
	// MinRate and MaxRate bound Sender.Rate, in messages per second. MaxRate is the highest
	// throughput that Meta allows for a number.
	MinRate = 1
	MaxRate = 1000
	// DefaultRate is the throughput of a number that Meta has not upgraded.
	DefaultRate = 80

	maxID      = 64
	maxName    = 128
	maxDisplay = 32
	maxDigits  = 32
	// maxToken is ten times the length of Meta's access tokens.
	maxToken = 4096

	maxKeywords = 32
	maxKeyword  = 64
)

// A Registration has the details of a sender to register.
type Registration struct {
	ID                 string
	Name               string
	PhoneNumberID      string
	DisplayPhoneNumber string
	BusinessAccountID  string
	// Rate is in messages per second, MinRate to MaxRate.
	Rate int
	// TokenID names the token in the vault; empty for the server's default token.
	TokenID string
	// OptOutKeywords are as in Sender.
	OptOutKeywords *[]string
}

// Register registers a sender. Registering it again with the same details changes only its
// token, if another version is given; with other details it returns a CONFLICT. The number
// must be claimed first, see Claim.
func Register(s Sender, in Registration) ([]domain.Event, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	if !s.Registered() {
		return []domain.Event{SenderRegistered{
			Sender: in.ID, Name: in.Name, PhoneNumberID: in.PhoneNumberID, DisplayPhoneNumber: in.DisplayPhoneNumber,
			BusinessAccountID: in.BusinessAccountID, MessagesPerSecond: in.Rate, TokenID: in.TokenID, OptOutKeywords: keywordsOf(in.OptOutKeywords),
		}}, nil
	}
	asked := in
	asked.OptOutKeywords, asked.TokenID = nil, ""
	present := Registration{
		ID: s.ID, Name: s.Name, PhoneNumberID: s.PhoneNumberID, DisplayPhoneNumber: s.DisplayPhoneNumber,
		BusinessAccountID: s.BusinessAccountID, Rate: s.Rate,
	}
	if present != asked || !sameKeywords(s.OptOutKeywords, keywordsOf(in.OptOutKeywords)) {
		return nil, domain.Conflict("sender %q is registered with other values, use updateSender or setSenderRate to change them", s.ID)
	}
	if in.TokenID == "" {
		return nil, nil
	}
	return ChangeToken(s, in.TokenID)
}

func (in Registration) validate() error {
	if err := checkID(in.ID); err != nil {
		return err
	}
	if err := checkDigits("phoneNumberId", in.PhoneNumberID); err != nil {
		return err
	}
	if err := checkName(in.Name); err != nil {
		return err
	}
	if err := checkDisplay(in.DisplayPhoneNumber); err != nil {
		return err
	}
	if err := checkAccount(in.BusinessAccountID); err != nil {
		return err
	}
	if err := checkKeywords(in.OptOutKeywords); err != nil {
		return err
	}
	return checkRate(in.Rate)
}

// Changes are the details that Update changes. Nil leaves a value unchanged, and an empty
// string removes an optional one.
type Changes struct {
	Name               *string
	DisplayPhoneNumber *string
	BusinessAccountID  *string
	// OptOutKeywords replaces all keywords. An empty list removes them.
	OptOutKeywords *[]string
}

// Update changes the details of a sender.
func Update(s Sender, in Changes) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	e := SenderUpdated{
		Name:               changed(s.Name, in.Name),
		DisplayPhoneNumber: changed(s.DisplayPhoneNumber, in.DisplayPhoneNumber),
		BusinessAccountID:  changed(s.BusinessAccountID, in.BusinessAccountID),
	}
	if in.OptOutKeywords != nil {
		if err := checkKeywords(in.OptOutKeywords); err != nil {
			return nil, err
		}
		if asked := keywordsOf(in.OptOutKeywords); !sameKeywords(s.OptOutKeywords, asked) {
			e.OptOutKeywords = asked
		}
	}
	if e == (SenderUpdated{}) {
		return nil, nil
	}
	if e.Name != nil {
		if err := checkName(*e.Name); err != nil {
			return nil, err
		}
	}
	if e.DisplayPhoneNumber != nil {
		if err := checkDisplay(*e.DisplayPhoneNumber); err != nil {
			return nil, err
		}
	}
	if e.BusinessAccountID != nil {
		if err := checkAccount(*e.BusinessAccountID); err != nil {
			return nil, err
		}
	}
	return []domain.Event{e}, nil
}

// keywordsOf returns keywords as events record them.
func keywordsOf(asked *[]string) *[]string {
	if asked == nil {
		return nil
	}
	trimmed := make([]string, len(*asked)) // the event must not change with the caller's variable
	for i, k := range *asked {
		trimmed[i] = strings.TrimSpace(k)
	}
	return &trimmed
}

func sameKeywords(a, b *[]string) bool {
	return (a == nil) == (b == nil) && (a == nil || slices.Equal(*a, *b))
}

func checkKeywords(keywords *[]string) error {
	if keywords == nil {
		return nil
	}
	const field = "optOutKeywords"
	if len(*keywords) > maxKeywords {
		return domain.Invalid(field, "has %d keywords, at most %d are allowed", len(*keywords), maxKeywords)
	}
	for i, k := range *keywords {
		at := fmt.Sprintf("%s.%d", field, i)
		if err := domain.CheckLine(at, strings.TrimSpace(k), 1, maxKeyword); err != nil {
			return err
		}
		if slices.ContainsFunc((*keywords)[:i], func(other string) bool { return strings.EqualFold(strings.TrimSpace(other), strings.TrimSpace(k)) }) {
			return domain.Invalid(at, "is listed twice; keywords match in any case")
		}
	}
	return nil
}

func changed(present string, asked *string) *string {
	if asked == nil || *asked == present {
		return nil
	}
	v := *asked // the event must not change with the caller's variable
	return &v
}

// SetRate changes the maximum number of messages per second.
func SetRate(s Sender, messagesPerSecond int) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if err := checkRate(messagesPerSecond); err != nil {
		return nil, err
	}
	if s.Rate == messagesPerSecond {
		return nil, nil
	}
	return []domain.Event{RateChanged{MessagesPerSecond: messagesPerSecond}}, nil
}

// ChangeToken switches to another version of the access token.
func ChangeToken(s Sender, tokenID string) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if tokenID == "" {
		return nil, domain.Invalid("accessToken", "must not be empty; give the token to use from now on")
	}
	if s.TokenID == tokenID {
		return nil, nil
	}
	return []domain.Event{TokenChanged{TokenID: tokenID}}, nil
}

// Pause pauses these priorities, or all if none is given, in addition to those that are
// already paused.
func Pause(s Sender, priorities []string, reason string) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if err := domain.CheckLines("reason", reason, 1, domain.MaxReason); err != nil {
		return nil, err
	}
	for i, p := range priorities {
		if !slices.Contains(Priorities(), p) {
			return nil, domain.Invalid(fmt.Sprintf("priorities.%d", i), "unknown priority %q; use OTP, TRANSACTIONAL, or BULK", p)
		}
	}
	asked := Priorities()
	if len(priorities) > 0 {
		asked = slices.DeleteFunc(asked, func(p string) bool { return !slices.Contains(priorities, p) })
	}
	if s.PauseReason == reason && !slices.ContainsFunc(asked, func(p string) bool { return !s.Paused(p) }) {
		return nil, nil
	}
	return []domain.Event{SenderPaused{Priorities: asked, Reason: reason}}, nil
}

// Resume resumes all priorities. A hold stays, because only Waypost ends it.
func Resume(s Sender) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if len(s.PausedPriorities) == 0 {
		return nil, nil
	}
	return []domain.Event{SenderResumed{}}, nil
}

// ResumeLanes resumes these priorities. Those that are not paused stay as they are.
func ResumeLanes(s Sender, priorities []string) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	for i, p := range priorities {
		if !slices.Contains(Priorities(), p) {
			return nil, domain.Invalid(fmt.Sprintf("priorities.%d", i), "unknown priority %q; use OTP, TRANSACTIONAL, or BULK", p)
		}
	}
	asked := slices.DeleteFunc(slices.Clone(s.PausedPriorities), func(p string) bool { return !slices.Contains(priorities, p) })
	switch len(asked) {
	case 0:
		return nil, nil
	case len(s.PausedPriorities):
		return Resume(s)
	}
	return []domain.Event{LanesResumed{Priorities: asked}}, nil
}

// Hold stops the sender because of its token, account, or payment. Repeating the same code
// and category changes nothing, whatever the wording.
func Hold(s Sender, f Fault) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if s.Hold != nil && s.Hold.same(f) {
		return nil, nil
	}
	return []domain.Event{SenderHeld{Fault: f}}, nil
}

// Release ends a hold.
func Release(s Sender, reason string) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if s.Hold == nil {
		return nil, nil
	}
	return []domain.Event{SenderReleased{Reason: reason}}, nil
}

// Claim assigns the phone number to a sender. owner is the current NumberOwner; if it is
// another sender, Claim returns a CONFLICT.
func Claim(owner, phoneNumberID, sender string) ([]domain.Event, error) {
	if err := checkID(sender); err != nil {
		return nil, err
	}
	if err := checkDigits("phoneNumberId", phoneNumberID); err != nil {
		return nil, err
	}
	switch owner {
	case "":
		return []domain.Event{NumberClaimed{Sender: sender, PhoneNumberID: phoneNumberID}}, nil
	case sender:
		return nil, nil
	}
	// The error doesn't name the owner, because the caller's key can be limited to other
	// senders.
	return nil, domain.Conflict("phone number ID %s belongs to another sender; use that sender, or another number", phoneNumberID)
}

func (s Sender) exists() error {
	if !s.Registered() {
		return domain.NotFound("the sender is not registered, use registerSender first")
	}
	return nil
}

// ValidID reports whether id is a valid sender ID: 1 to 64 letters, digits, hyphens, and
// underscores.
func ValidID(id string) bool { return checkID(id) == nil }

func checkID(id string) error {
	const field = "id"
	if err := domain.CheckLine(field, id, 1, maxID); err != nil {
		return err
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return domain.Invalid(field, "has a character at byte %d that is no letter a-z, digit, - or _", i)
		}
	}
	return nil
}

func checkDigits(field, s string) error {
	if err := domain.CheckLine(field, s, 1, maxDigits); err != nil {
		return err
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return domain.Invalid(field, "has a character at byte %d that is not a digit; give Meta's numeric ID", i)
		}
	}
	return nil
}

func checkName(s string) error    { return domain.CheckLine("name", s, 1, maxName) }
func checkDisplay(s string) error { return domain.CheckLine("displayPhoneNumber", s, 0, maxDisplay) }

func checkAccount(s string) error {
	if s == "" {
		return nil
	}
	return checkDigits("businessAccountId", s)
}

func checkRate(n int) error {
	if n < MinRate || n > MaxRate {
		return domain.Invalid("messagesPerSecond", "is %d, %d to %d are allowed", n, MinRate, MaxRate)
	}
	return nil
}

// CheckToken checks a given access token. An empty one means none.
func CheckToken(token string) error { return domain.CheckLine("accessToken", token, 0, maxToken) }
