package domain

import "regexp"

// userID matches WhatsApp's business-scoped user IDs: the code of a country, a point, and up
// to 128 letters and digits. ENT marks a parent ID, which several portfolios of one business
// share. Source: Meta's page on business-scoped user IDs.
var userID = regexp.MustCompile(`^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$`)

// IsUserID reports whether s has the form of a business-scoped user ID of WhatsApp. A person
// who hides their number is known by it alone.
func IsUserID(s string) bool { return userID.MatchString(s) }
