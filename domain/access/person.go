package access

import "time"

// A Person is signed in with an identity provider, which decides what the person may do.
type Person struct {
	Grant

	// Subject is the person's ID at the provider.
	Subject string
	// Name is the person's name at the provider. Empty if the provider gave none.
	Name string
	// ExpiresAt is when the sign-in ends.
	ExpiresAt time.Time
}

// CheckActive returns an error once the sign-in has ended.
func (p Person) CheckActive(now time.Time) error {
	if now.Before(p.ExpiresAt) {
		return nil
	}
	return unauthenticated("the sign-in has expired; sign in again")
}
