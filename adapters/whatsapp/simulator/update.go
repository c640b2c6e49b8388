package simulator

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// kind is the kind of an update. The statuses come first: their number sizes the arrays of a fate.
type kind uint8

const (
	statusSent kind = iota
	statusDelivered
	statusRead
	statusFailed
	statusKinds  // the number of status kinds
	inboundReply // a user wrote
)

var statusNames = [statusKinds]string{"sent", "delivered", "read", "failed"}

// price is a message's pricing object, as Meta sends it since 2026-10-01: templates are charged in the service window
// too, and so are service messages once a number has used up its free ones of the month.
type price string

const (
	priceTemplate    price = `{"billable":true,"pricing_model":"PMP","type":"regular","category":"utility"}`
	priceService     price = `{"billable":true,"pricing_model":"PMP","type":"regular","category":"service"}`
	priceFreeService price = `{"billable":false,"pricing_model":"PMP","type":"free_customer_service","category":"service"}`
)

// message is an accepted message, or one that a user wrote. Its updates share it.
type message struct {
	key      uint64 // in the ledger; 0 means that it is not there
	number   *number
	wamid    string
	peer     recipient
	callback string
	price    price
	failCode int
	written  writing // if a user wrote it
}

// pendingUpdate is one update that the receiver must get.
type pendingUpdate struct {
	message *message
	kind    kind
	unix    int64 // when it happened, in whole seconds, as in Meta's timestamps
}

// planned is an update that is due after a delay.
type planned struct {
	kind  kind
	after time.Duration
}

// plan returns the updates that follow from an accepted message. after is relative to its acceptance.
func (f *fate) plan(contentType string, delay time.Duration) []planned {
	var kinds []kind
	switch {
	case f.failsLater:
		kinds = []kind{statusFailed}
	case contentType == kindReaction:
		kinds = []kind{statusSent}
	case f.reads:
		kinds = []kind{statusSent, statusDelivered, statusRead}
	default:
		kinds = []kind{statusSent, statusDelivered}
	}
	updates := make([]planned, 0, len(kinds))
	for i, k := range kinds {
		if f.drops[k] {
			continue
		}
		u := planned{k, time.Duration(i+1) * delay}
		if f.reorders {
			u.after = f.shuffled[k]
		}
		updates = append(updates, u)
		if f.repeats[k] {
			updates = append(updates, planned{k, u.after + f.repeatAfter[k]})
		}
	}
	return updates
}

// appendWebhook appends the body of a webhook with these updates: one entry of the business account, and one change for
// each number and each of statuses and messages.
func appendWebhook(b []byte, account string, batch []pendingUpdate) []byte {
	b = append(b, `{"object":"whatsapp_business_account","entry":[{"id":"`...)
	b = append(b, account...)
	b = append(b, `","changes":[`...)
	first := true
	for i, o := range batch {
		if leads(batch[:i], o) {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = appendChange(b, o.message.number, o.kind == inboundReply, batch[i:])
		}
	}
	return append(b, `]}]}`...)
}

// leads reports whether no update before o belongs to the same change.
func leads(before []pendingUpdate, o pendingUpdate) bool {
	for _, other := range before {
		if other.message.number == o.message.number && (other.kind == inboundReply) == (o.kind == inboundReply) {
			return false
		}
	}
	return true
}

func appendChange(b []byte, n *number, inbound bool, batch []pendingUpdate) []byte {
	b = append(b, `{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"`...)
	b = append(b, n.display...)
	b = append(b, `","phone_number_id":`...)
	b = appendString(b, n.id)
	each := func(appendOne func([]byte, pendingUpdate) []byte) {
		first := true
		for _, o := range batch {
			if o.message.number != n || (o.kind == inboundReply) != inbound {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = appendOne(b, o)
		}
	}
	if inbound {
		b = append(b, `},"contacts":[`...)
		each(appendProfile)
		b = append(b, `],"messages":[`...)
		each(appendInbound)
	} else {
		b = append(b, '}')
		if contacts := appendContacts(nil, n, batch); contacts != nil {
			b = append(b, `,"contacts":[`...)
			b = append(append(b, contacts...), ']')
		}
		b = append(b, `,"statuses":[`...)
		each(appendStatus)
	}
	return append(b, `]},"field":"messages"}`...)
}

func appendStatus(b []byte, o pendingUpdate) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, o.message.wamid...)
	b = append(b, `","status":"`...)
	b = append(b, statusNames[o.kind]...)
	b = append(b, `","timestamp":"`...)
	b = strconv.AppendInt(b, o.unix, 10)
	b = append(b, '"')
	peer := o.message.peer
	if peer.waID != "" {
		b = append(b, `,"recipient_id":`...)
		b = appendString(b, peer.waID)
	}
	if peer.user != "" && (peer.waID == "" || o.kind != statusFailed) {
		b = append(b, `,"recipient_user_id":`...)
		b = appendString(b, peer.user)
	}
	if o.message.callback != "" {
		b = append(b, `,"biz_opaque_callback_data":`...)
		b = appendString(b, o.message.callback)
	}
	switch o.kind {
	case statusSent, statusDelivered:
		b = append(b, `,"pricing":`...)
		b = append(b, o.message.price...)
	case statusFailed:
		b = appendStatusError(b, o.message.failCode)
	default: // the others have no further members
	}
	return append(b, '}')
}

func appendStatusError(b []byte, code int) []byte {
	e := errorOf(code)
	b = append(b, `,"errors":[{"code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `,"title":`...)
	b = appendString(b, e.title)
	b = append(b, `,"message":`...)
	b = appendString(b, e.title)
	b = append(b, `,"error_data":{"details":`...)
	b = appendString(b, e.details)
	return append(b, `},"href":"https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"}]`...)
}

// appendContacts appends the recipients of the number's statuses that have a user ID, each once. Meta omits those of
// failed messages.
func appendContacts(b []byte, n *number, batch []pendingUpdate) []byte {
	var listed []recipient
	for _, o := range batch {
		peer := o.message.peer
		if o.message.number != n || o.kind >= statusFailed || peer.user == "" || slices.Contains(listed, peer) {
			continue
		}
		if listed = append(listed, peer); len(listed) > 1 {
			b = append(b, ',')
		}
		b = appendProfile(b, o)
	}
	return b
}

func appendProfile(b []byte, o pendingUpdate) []byte {
	b = append(b, `{"profile":{"name":`...)
	b = appendString(b, cmp.Or(o.message.written.name, "Ada Example"))
	b = append(b, '}')
	return append(appendIDs(b, o.message.peer, "wa_id", "user_id"), '}')
}

// appendIDs appends the IDs of a person that are known.
func appendIDs(b []byte, peer recipient, waID, user string) []byte {
	for _, id := range [][2]string{{waID, peer.waID}, {user, peer.user}} {
		if id[1] != "" {
			b = append(b, `,"`...)
			b = append(b, id[0]...)
			b = append(b, `":`...)
			b = appendString(b, id[1])
		}
	}
	return b
}

func appendInbound(b []byte, o pendingUpdate) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, o.message.wamid...)
	b = append(b, '"')
	b = appendIDs(b, o.message.peer, "from", "from_user_id")
	b = append(b, `,"timestamp":"`...)
	b = strconv.AppendInt(b, o.unix, 10)
	b = append(b, `",`...)
	return append(append(b, o.message.written.content...), '}')
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil { // impossible: any string can be marshaled
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// Bytes around the peer's digits and the unique part of a WhatsApp message ID, as seen in real ones.
const (
	wamidOutbound = "\x15\x02\x00\x11\x18\x12" // then 18 hexadecimal digits
	wamidInbound  = "\x15\x02\x00\x12\x18\x14" // then 20 of them
)

// newWamid returns a message ID in Meta's format: the base64 encoding of the peer and a unique part. run distinguishes
// runs of the simulator, count the messages of a run.
func newWamid(peer recipient, inbound bool, run uint32, count uint64) string {
	const digits = "0123456789ABCDEF"
	who := peer.key()
	if len(who) > 127 {
		who = who[:127]
	}
	raw := make([]byte, 0, 64)
	raw = append(raw, 0x1c, 0x18, byte(len(who)))
	raw = append(raw, who...)
	if inbound {
		raw = append(raw, wamidInbound+"3E"...)
	} else {
		raw = append(raw, wamidOutbound...)
	}
	for shift := 28; shift >= 0; shift -= 4 {
		raw = append(raw, digits[run>>shift&0xf])
	}
	for shift := 36; shift >= 0; shift -= 4 {
		raw = append(raw, digits[count>>shift&0xf])
	}
	raw = append(raw, 0)
	return "wamid." + base64.StdEncoding.EncodeToString(raw)
}
