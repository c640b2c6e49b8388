package message

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/waypost/waypost/domain"
)

// maxContacts is how many contacts one message may have. Meta's page says 257,
// its API description 5: the smaller one holds under both, and further contacts
// fit into another message.
const maxContacts = 5

// maxName bounds the parts of a name. It is Waypost's own: Meta names no limit.
const maxName = 512

// Contacts are contact cards: the Cloud API's contact objects.
type Contacts []json.RawMessage

// Kind is KindContacts.
func (Contacts) Kind() Kind { return KindContacts }

func (Contacts) content() {}

// contact is what Validate reads of a contact object.
type contact struct {
	Name *struct {
		Formatted string `json:"formatted_name"`
		First     string `json:"first_name"`
		Last      string `json:"last_name"`
		Middle    string `json:"middle_name"`
		Suffix    string `json:"suffix"`
		Prefix    string `json:"prefix"`
	} `json:"name"`
	Birthday string `json:"birthday"`
	Phones   []struct {
		Phone string `json:"phone"`
		Type  string `json:"type"`
		WaID  string `json:"wa_id"`
	} `json:"phones"`
	Emails []struct {
		Email string `json:"email"`
		Type  string `json:"type"`
	} `json:"emails"`
	URLs []struct {
		URL  string `json:"url"`
		Type string `json:"type"`
	} `json:"urls"`
	Addresses []struct {
		Street      string `json:"street"`
		City        string `json:"city"`
		State       string `json:"state"`
		Zip         string `json:"zip"`
		Country     string `json:"country"`
		CountryCode string `json:"country_code"`
		Type        string `json:"type"`
	} `json:"addresses"`
	Org *struct {
		Company    string `json:"company"`
		Department string `json:"department"`
		Title      string `json:"title"`
	} `json:"org"`
}

// Validate checks the number of contacts and of each the name, the birthday and
// the WhatsApp ids. The error names the place, such as
// "contacts.0.contact.name.formatted_name".
func (c Contacts) Validate() error {
	if n := len(c); n < 1 || n > maxContacts {
		return domain.Invalid("contacts", "has %d contacts, 1 to %d are allowed", n, maxContacts)
	}
	for i, raw := range c {
		var one contact
		err := readObject(raw, &one)
		if err == nil {
			err = one.validate()
		}
		if err != nil {
			return domain.PrefixField(fmt.Sprintf("contacts.%d.contact", i), err)
		}
	}
	return nil
}

func (c contact) validate() error {
	n := c.Name
	if n == nil {
		return domain.Invalid("name", "is missing, formatted_name and one other part are needed")
	}
	if err := checkLength("name.formatted_name", n.Formatted, 1, maxName); err != nil {
		return err
	}
	parts := []struct{ field, value string }{
		{"first_name", n.First}, {"last_name", n.Last}, {"middle_name", n.Middle}, {"suffix", n.Suffix}, {"prefix", n.Prefix},
	}
	given := false
	for _, p := range parts {
		if err := checkLength("name."+p.field, p.value, 0, maxName); err != nil {
			return err
		}
		given = given || p.value != ""
	}
	if !given {
		return domain.Invalid("name", "has formatted_name alone, one of first_name, last_name, middle_name, suffix and prefix is needed too")
	}
	if c.Birthday != "" {
		if _, err := time.Parse(time.DateOnly, c.Birthday); err != nil {
			return domain.Invalid("birthday", "is no day of the form YYYY-MM-DD")
		}
	}
	for i, p := range c.Phones {
		at := "phones." + strconv.Itoa(i)
		if p.Phone == "" && p.WaID == "" {
			return domain.Invalid(at, "has neither phone nor wa_id, one of them is needed")
		}
		if p.WaID != "" && (!isDigits(p.WaID) || len(p.WaID) > maxDigits) {
			return domain.Invalid(at+".wa_id", "is no WhatsApp id: at most %d digits, without a plus", maxDigits)
		}
	}
	return nil
}
