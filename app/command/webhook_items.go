package command

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

// item is one event of a stream whose writers need no order.
type item struct {
	stream   string
	new      event.Proposed
	raw      []byte // parked instead if the event is too large
	received string // the phone number ID whose traffic the item is, if any
	senderID string // of the event's metadata, if it is about a sender
	// together reports whether the item can share an append with others of its stream. If
	// the process restarts, such an event can be recorded twice.
	together bool
}

// orphanID is derived from the contents of a status, so that a repeated status records
// nothing.
func orphanID(s webhook.Status) uuid.UUID {
	if s.Kind == message.ReportOther {
		return inbound.EventID("status", s.PhoneNumberID, s.WhatsAppID, string(s.Kind), s.About.Type, s.About.Status, s.At.UTC().Format(time.RFC3339))
	}
	return inbound.EventID("status", s.PhoneNumberID, s.WhatsAppID, string(s.Kind))
}

func orphanItem(s webhook.Status) item {
	e := orphaned(s)
	return item{stream: event.OrphanStream(event.StreamPart(s.PhoneNumberID)), together: true, new: event.Proposed{
		ID: orphanID(s), Event: e, Subject: event.Subject{People: []string{s.RecipientID}},
	}, raw: []byte(cmp.Or(e.Personal.Failure.Raw, e.Personal.Raw))}
}

// orphaned returns the event of a status whose message is unknown.
func orphaned(s webhook.Status) inbound.StatusOrphaned {
	e := inbound.StatusOrphaned{
		BusinessAccountID: s.BusinessAccountID, PhoneNumberID: s.PhoneNumberID, Kind: s.Kind, At: s.At,
		Pricing: s.Pricing, Failure: s.Failure, Type: s.About.Type, Status: s.About.Status, Foreign: s.Foreign, Personal: inbound.OrphanPersonal{
			WhatsAppID: s.WhatsAppID, RecipientID: s.RecipientID, Failure: s.Personal, Conversation: s.Conversation, Raw: s.About.Raw,
		},
	}
	if s.Call != 0 {
		e.MessageID, e.Call = s.MessageID.String(), s.Call
	}
	return e
}

func received(in webhook.Inbound) inbound.InboundReceived {
	return inbound.InboundReceived{
		BusinessAccountID: in.BusinessAccountID, PhoneNumberID: in.PhoneNumberID, Type: in.Type, Field: in.Field, At: in.At,
		Personal: inbound.InboundPersonal{
			WhatsAppID: in.WhatsAppID, From: in.From, Name: in.Name, ContextID: in.ContextID, Message: in.Raw,
		},
	}
}

func echoed(e webhook.Echo) inbound.EchoReceived {
	return inbound.EchoReceived{
		BusinessAccountID: e.BusinessAccountID, PhoneNumberID: e.PhoneNumberID, Field: e.Field, Type: e.Type, At: e.At,
		Personal: inbound.EchoPersonal{WhatsAppID: e.WhatsAppID, To: e.To, ToUserID: e.ToUserID, Message: e.Raw},
	}
}

// parked returns what could not be parsed, in parts that the event store accepts.
func parked(p webhook.Parked, now time.Time) []item {
	sum := sha256.Sum256(p.Raw)
	people := peopleIn(p.Raw)
	parts := max(1, (len(p.Raw)+parkedPart-1)/parkedPart)
	items := make([]item, parts)
	for i := range items {
		raw := p.Raw[i*parkedPart : min((i+1)*parkedPart, len(p.Raw))]
		items[i] = item{stream: event.ParkedStream(now), raw: raw, together: true, new: event.Proposed{
			ID: inbound.EventID("parked", p.BusinessAccountID, p.Reason, hex.EncodeToString(sum[:]), strconv.Itoa(i)),
			Event: inbound.WebhookParked{
				BusinessAccountID: p.BusinessAccountID, Part: i + 1, Parts: parts,
				Personal: inbound.ParkedPersonal{Reason: p.Reason, Raw: raw},
			},
			Subject: event.Subject{People: people},
		}}
	}
	return items
}

// batchesOf divides items into those that are appended together.
func batchesOf(items []item) [][]item {
	var batches [][]item
	open := make(map[string]int) // the batch of a stream that has space
	sizes := make(map[string]int)
	for _, it := range items {
		at, ok := open[it.stream]
		if !it.together || !ok || len(batches[at]) >= batchItems || sizes[it.stream]+len(it.raw) > batchBytes {
			at = len(batches)
			batches = append(batches, nil)
			if it.together {
				open[it.stream], sizes[it.stream] = at, 0
			}
		}
		batches[at] = append(batches[at], it)
		if it.together {
			sizes[it.stream] += len(it.raw)
		}
	}
	return batches
}

// appendBatch appends items in one append. If the event store already has some of them, or
// they are too large together, it appends each item on its own.
func (h *RecordWebhook) appendBatch(ctx context.Context, items []item, now time.Time) error {
	if len(items) > 1 {
		news := make([]event.Proposed, len(items))
		for i, it := range items {
			news[i] = it.new
		}
		_, err := h.log.Append(ctx, items[0].stream, event.Any(), news...)
		switch {
		case err == nil:
			return nil
		case !repository.IsConflict(err) && !errors.Is(err, event.ErrTooLarge):
			return fmt.Errorf("append to %s: %w", items[0].stream, err)
		}
	}
	for _, it := range items {
		if err := h.appendItem(ctx, it, now); err != nil {
			return err
		}
	}
	return nil
}

func (h *RecordWebhook) appendItem(ctx context.Context, it item, now time.Time) error {
	_, err := h.log.Append(ctx, it.stream, event.Any(), it.new)
	if !errors.Is(err, event.ErrTooLarge) {
		if err != nil {
			return fmt.Errorf("append to %s: %w", it.stream, err)
		}
		return nil
	}
	for _, part := range parked(webhook.Parked{Reason: "it is larger than an event may be", Raw: it.raw}, now) {
		part.new.Meta = it.new.Meta
		if _, err := h.log.Append(ctx, part.stream, event.Any(), part.new); err != nil {
			return fmt.Errorf("append to %s: %w", part.stream, err)
		}
	}
	return nil
}

// personMembers are the members by which WhatsApp identifies people, in any object.
var personMembers = regexp.MustCompile(`"(?:wa_id|from|to|recipient|recipient_id|phone_number|[a-z_]*user_id)"\s*:\s*"([^"\\]{3,160})"`)

// maxPeople bounds the people whom one event is about. A webhook has a few hundred items at
// most.
const maxPeople = 250

// peopleIn returns the people whom raw JSON names, even if it is malformed, because what
// cannot be parsed must be erased with them too.
func peopleIn(raw []byte) []string {
	var people []string
	seen := make(map[string]bool)
	for _, m := range personMembers.FindAllSubmatch(raw, -1) {
		if p := string(m[1]); !seen[p] && len(people) < maxPeople {
			seen[p] = true
			people = append(people, p)
		}
	}
	return people
}
