package sender

import "github.com/waypost/waypost/domain"

// NumberOwner is the sender to whom the events of a number's stream give the
// number; empty if none claimed it.
func NumberOwner(events []domain.Event) string {
	for _, e := range events {
		if c, ok := e.(NumberClaimed); ok {
			return c.Sender // the first claim counts
		}
	}
	return ""
}

// Claim gives the phone number to a sender. owner is the present NumberOwner;
// if that is another sender the error is a CONFLICT.
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
	return nil, domain.Conflict("phone number id %s belongs to sender %q, a number has one sender", phoneNumberID, owner)
}
