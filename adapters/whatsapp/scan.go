package whatsapp

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// The functions below read JSON that encoding/json has accepted as valid. They replace json.Unmarshal for the objects
// of a usual webhook: with it, every byte of a status was read six times. They return false for anything unusual, such
// as a member of another type, a null, a repeated name, or an escape in a name, and the caller then starts again with
// json.Unmarshal. So only json.Unmarshal defines how unusual webhooks are read.

// decode decodes an object that is valid JSON as json.Unmarshal does.
func decode[T any](data []byte, to *T, scan func(*T, []byte) bool) error {
	if scan(to, data) {
		return nil
	}
	var none T
	*to = none
	return json.Unmarshal(data, to)
}

// decodeEnvelope decodes the body of a webhook as json.Unmarshal does.
func decodeEnvelope(body []byte, to *envelope) error {
	if !json.Valid(body) {
		return json.Unmarshal(body, to)
	}
	return decode(body, to, (*envelope).scan)
}

// members calls visit with each member of an object until visit returns false.
func members(data []byte, visit func(name, value []byte) bool) bool {
	i := afterSpace(data, 0)
	if data[i] != '{' {
		return false
	}
	for i = afterSpace(data, i+1); data[i] != '}'; {
		end := afterString(data, i)
		name := data[i+1 : end-1]
		i = afterSpace(data, afterSpace(data, end)+1)
		end = afterValue(data, i)
		if !visit(name, data[i:end:end]) {
			return false
		}
		i = afterComma(data, end)
	}
	return true
}

// elements calls visit with each element of an array until visit returns false.
func elements(data []byte, visit func(value []byte) bool) bool {
	if data[0] != '[' {
		return false
	}
	for i := afterSpace(data, 1); data[i] != ']'; {
		end := afterValue(data, i)
		if !visit(data[i:end:end]) {
			return false
		}
		i = afterComma(data, end)
	}
	return true
}

// afterComma returns the index of the next name or element after a value, or that of the closing bracket.
func afterComma(data []byte, i int) int {
	if i = afterSpace(data, i); data[i] == ',' {
		i = afterSpace(data, i+1)
	}
	return i
}

func afterSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

func afterString(data []byte, i int) int {
	for i++; data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func afterValue(data []byte, i int) int {
	switch data[i] {
	case '"':
		return afterString(data, i)
	case '{', '[':
		return afterBrackets(data, i)
	}
	for i < len(data) {
		switch data[i] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}

func afterBrackets(data []byte, i int) int {
	for depth := 0; ; {
		switch data[i] {
		case '"':
			i = afterString(data, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if i++; depth == 0 {
			return i
		}
	}
}

// names notes which members of an object were read.
type names uint

// first reports whether the member with this number was not read before.
func (n *names) first(number uint) bool {
	before := *n
	*n |= 1 << number
	return *n != before
}

// ignored reports whether json.Unmarshal ignores a member whose name is not exactly one of the known ones. It compares
// names without regard to case, and in Unicode.
func ignored(name []byte) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// lenient is a type that decodes any value.
type lenient interface{ UnmarshalJSON(data []byte) error }

func scanLenient(to lenient, value []byte) bool {
	return value[0] != 'n' && to.UnmarshalJSON(value) == nil
}

func scanString(to *string, value []byte) bool {
	if value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 || !utf8.Valid(value) {
		return false
	}
	*to = string(value[1 : len(value)-1])
	return true
}

// scanRaw does not copy the value, unlike json.Unmarshal. The body of a webhook is never changed.
func scanRaw(to *json.RawMessage, value []byte) bool {
	*to = value
	return value[0] != 'n'
}

func scanList(to *[]json.RawMessage, value []byte) bool {
	return elements(value, func(value []byte) bool {
		*to = append(*to, value)
		return value[0] != 'n'
	})
}

func (e *envelope) scan(data []byte) bool {
	var seen names
	return members(data, func(name, value []byte) bool {
		if string(name) != "entry" {
			return ignored(name)
		}
		return seen.first(0) && elements(value, func(value []byte) bool {
			e.Entry = append(e.Entry, entry{})
			return e.Entry[len(e.Entry)-1].scan(value)
		})
	})
}

func (e *entry) scan(data []byte) bool {
	var seen names
	return members(data, func(name, value []byte) bool {
		switch string(name) {
		case "id":
			return seen.first(0) && scanLenient(&e.ID, value)
		case "time":
			return seen.first(1) && scanLenient(&e.Time, value)
		case "changes":
			return seen.first(2) && elements(value, func(value []byte) bool {
				e.Changes = append(e.Changes, change{})
				return e.Changes[len(e.Changes)-1].scan(value)
			})
		}
		return ignored(name)
	})
}

func (c *change) scan(data []byte) bool {
	var seen names
	return members(data, func(name, value []byte) bool {
		switch string(name) {
		case "field":
			return seen.first(0) && scanString(&c.Field, value)
		case "value":
			return seen.first(1) && scanRaw(&c.Value, value)
		}
		return ignored(name)
	})
}

func (v *messagesValue) scan(data []byte) bool {
	var seen names
	return members(data, func(name, value []byte) bool {
		switch string(name) {
		case "metadata":
			return seen.first(0) && v.Metadata.scan(value)
		case "statuses":
			return seen.first(1) && scanList(&v.Statuses, value)
		case "messages":
			return seen.first(2) && scanList(&v.Messages, value)
		case "contacts":
			return seen.first(3) && elements(value, func(value []byte) bool {
				v.Contacts = append(v.Contacts, contact{})
				return v.Contacts[len(v.Contacts)-1].scan(value)
			})
		case "errors":
			return seen.first(4) && scanRaw(&v.Errors, value)
		}
		return ignored(name)
	})
}

func (c *contact) scan(data []byte) bool {
	var seen names
	return members(data, func(name, value []byte) bool {
		switch string(name) {
		case "profile":
			return seen.first(0) && c.Profile.scan(value)
		case "wa_id":
			return seen.first(1) && scanLenient(&c.WaID, value)
		case "user_id":
			return seen.first(2) && scanLenient(&c.UserID, value)
		}
		return ignored(name)
	})
}

func (p *profile) scan(data []byte) bool {
	var seen names
	return members(data, func(name, value []byte) bool {
		if string(name) == "name" {
			return seen.first(0) && scanString(&p.Name, value)
		}
		return ignored(name)
	})
}

func (m *metadata) scan(data []byte) bool {
	var seen names
	return members(data, func(name, value []byte) bool {
		switch string(name) {
		case "display_phone_number":
			return seen.first(0) && scanLenient(&m.Display, value)
		case "phone_number_id":
			return seen.first(1) && scanLenient(&m.ID, value)
		}
		return ignored(name)
	})
}

func (o *statusObject) scan(data []byte) bool {
	var seen names
	return members(data, func(name, value []byte) bool {
		switch string(name) {
		case "id":
			return seen.first(0) && scanLenient(&o.ID, value)
		case "status":
			return seen.first(1) && scanString(&o.Status, value)
		case "type":
			return seen.first(2) && scanRaw(&o.Type, value)
		case "timestamp":
			return seen.first(3) && scanLenient(&o.Timestamp, value)
		case "recipient_id":
			return seen.first(4) && scanLenient(&o.RecipientID, value)
		case "recipient_user_id":
			return seen.first(5) && scanLenient(&o.RecipientUserID, value)
		case "biz_opaque_callback_data":
			return seen.first(6) && scanLenient(&o.CallbackData, value)
		case "errors":
			return seen.first(7) && scanRaw(&o.Errors, value)
		case "pricing":
			return seen.first(8) && o.Pricing.scan(value)
		}
		return ignored(name)
	})
}

func (p *pricing) scan(data []byte) bool {
	var seen names
	return members(data, func(name, value []byte) bool {
		switch string(name) {
		case "pricing_model":
			return seen.first(0) && scanString(&p.Model, value)
		case "type":
			return seen.first(1) && scanString(&p.Type, value)
		case "category":
			return seen.first(2) && scanString(&p.Category, value)
		}
		return ignored(name)
	})
}
