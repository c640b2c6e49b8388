package sender

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/waypost/waypost/domain"
)

// Bounds of what is said of a sender. Rate and id are the public surface's; the
// others are Waypost's own, wide of anything Meta hands out.
const (
	// MinRate and MaxRate bound Sender.Rate, in messages a second. MaxRate is the
	// highest throughput Meta gives a number.
	MinRate = 1
	MaxRate = 1000
	// DefaultRate is the throughput of a number that Meta has not upgraded.
	DefaultRate = 80

	maxID      = 64
	maxName    = 128
	maxDisplay = 32
	maxDigits  = 32
	maxReason  = 1024
)

// Registration is what a sender is registered with.
type Registration struct {
	ID                 string
	Name               string
	PhoneNumberID      string
	DisplayPhoneNumber string
	BusinessAccountID  string
	// Rate is in messages a second, MinRate to MaxRate.
	Rate int
	// TokenID names the token in the vault; empty for the server's default token.
	TokenID string
}

// Register makes a sender. To register it again with what it is already changes
// nothing but its token, if another version is given; with anything else it is
// a CONFLICT. The number must be claimed first, see Claim.
func Register(s Sender, in Registration) ([]domain.Event, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	if !s.Registered() {
		return []domain.Event{SenderRegistered{
			Sender: in.ID, Name: in.Name, PhoneNumberID: in.PhoneNumberID, DisplayPhoneNumber: in.DisplayPhoneNumber,
			BusinessAccountID: in.BusinessAccountID, MessagesPerSecond: in.Rate, TokenID: in.TokenID,
		}}, nil
	}
	present := Registration{
		ID: s.ID, Name: s.Name, PhoneNumberID: s.PhoneNumberID, DisplayPhoneNumber: s.DisplayPhoneNumber,
		BusinessAccountID: s.BusinessAccountID, Rate: s.Rate, TokenID: in.TokenID,
	}
	if present != in {
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
	return checkRate(in.Rate)
}

// Changes is what Update changes about a sender; nil leaves it, and empty
// removes what may be missing.
type Changes struct {
	Name               *string
	DisplayPhoneNumber *string
	BusinessAccountID  *string
}

// Update changes what is said of a sender.
func Update(s Sender, in Changes) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	e := SenderUpdated{
		Name:               changed(s.Name, in.Name),
		DisplayPhoneNumber: changed(s.DisplayPhoneNumber, in.DisplayPhoneNumber),
		BusinessAccountID:  changed(s.BusinessAccountID, in.BusinessAccountID),
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

func changed(present string, asked *string) *string {
	if asked == nil || *asked == present {
		return nil
	}
	v := *asked // the event must not change with the caller's variable
	return &v
}

// SetRate changes how many messages a second the sender may send.
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

// ChangeToken makes another version of the access token count.
func ChangeToken(s Sender, tokenID string) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if tokenID == "" {
		return nil, domain.Invalid("accessToken", "is empty, give the token that counts from now on")
	}
	if s.TokenID == tokenID {
		return nil, nil
	}
	return []domain.Event{TokenChanged{TokenID: tokenID}}, nil
}

// Pause stops these priorities, or all if none is given, besides those that are
// paused already.
func Pause(s Sender, priorities []string, reason string) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if err := checkLength("reason", reason, 1, maxReason); err != nil {
		return nil, err
	}
	for i, p := range priorities {
		if !slices.Contains(Priorities(), p) {
			return nil, domain.Invalid(fmt.Sprintf("priorities.%d", i), "%q is none of OTP, TRANSACTIONAL and BULK", p)
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

// Resume lets every priority go on. A hold stays: only the platform ends it.
func Resume(s Sender) ([]domain.Event, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	if len(s.PausedPriorities) == 0 {
		return nil, nil
	}
	return []domain.Event{SenderResumed{}}, nil
}

// Hold stops the sender for a fault of its token, account or payment. The same
// code and category again change nothing, whatever the words.
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

func (s Sender) exists() error {
	if !s.Registered() {
		return domain.NotFound("the sender is not registered, use registerSender first")
	}
	return nil
}

// ValidID reports whether id has the form of a sender's: 1 to 64 letters, digits,
// '-' and '_'.
func ValidID(id string) bool { return checkID(id) == nil }

func checkID(id string) error {
	const field = "id"
	if err := checkLength(field, id, 1, maxID); err != nil {
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
	if err := checkLength(field, s, 1, maxDigits); err != nil {
		return err
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return domain.Invalid(field, "has a character at byte %d that is no digit, give Meta's numeric id", i)
		}
	}
	return nil
}

func checkName(s string) error    { return checkLength("name", s, 1, maxName) }
func checkDisplay(s string) error { return checkLength("displayPhoneNumber", s, 0, maxDisplay) }

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

// checkLength checks that s is UTF-8 of least to most code points.
func checkLength(field, s string, least, most int) error {
	if !utf8.ValidString(s) {
		return domain.Invalid(field, "is not valid UTF-8")
	}
	if n := utf8.RuneCountInString(s); n < least || n > most {
		return domain.Invalid(field, "has %d characters, %d to %d are allowed", n, least, most)
	}
	return nil
}
