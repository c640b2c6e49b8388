package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// webhookConcurrency is how many appends of webhooks are under way at once in
	// the process; one connection to the store carries at most 100 streams.
	webhookConcurrency = 64
	// lookupConcurrency is how many lookups in the read model are under way at
	// once. They have slots of their own: one that hangs keeps no append waiting.
	lookupConcurrency = 16
	// lookupTimeout bounds what a delivery waits for the read model, twice at
	// most: WhatsApp wants an answer soon, and an orphan is joined later anyway.
	lookupTimeout = 500 * time.Millisecond
	// parkedPart is the most raw bytes in one event: as base64 it stays below the
	// 1 MiB that EventStoreDB takes in one append by default.
	parkedPart = 512 << 10
	// rememberedIDs bounds the derived ids remembered as recorded: a webhook that
	// WhatsApp repeats within minutes then needs no append.
	rememberedIDs = 50_000
)

// WhatsAppIDs finds messages by WhatsApp's own ids.
type WhatsAppIDs interface {
	// MessageOf is the message that WhatsApp gave this wamid; false if none is
	// known yet.
	MessageOf(ctx context.Context, wamid string) (uuid.UUID, bool, error)
}

// ParseWebhook reads the body of a delivery. What it cannot read it parks.
type ParseWebhook func(raw []byte) webhook.Delivery

// RecordWebhook appends what a delivery of WhatsApp brought straight to the log:
// the event store is the inbox. It is safe for use by many at once.
type RecordWebhook struct {
	log      event.Log
	clock    Clock
	messages *Messages
	senders  *Senders
	wamids   WhatsAppIDs
	parse    ParseWebhook
	logger   *slog.Logger
	appends  chan struct{} // slots of the whole process, as are lookups
	lookups  chan struct{}
	recorded *recentIDs
	// onInbound is told how many new messages came in for a number, which count
	// into its throughput at WhatsApp.
	onInbound func(phoneNumberID string, n int)

	mu     sync.Mutex
	since  time.Time
	broken bool
}

// NewRecordWebhook makes the use case. onInbound may be nil.
func NewRecordWebhook(
	log event.Log, clock Clock, messages *Messages, senders *Senders, wamids WhatsAppIDs, parse ParseWebhook,
	onInbound func(phoneNumberID string, n int), logger *slog.Logger,
) *RecordWebhook {
	if onInbound == nil {
		onInbound = func(string, int) {}
	}
	return &RecordWebhook{
		log: log, clock: clock, messages: messages, senders: senders, wamids: wamids, parse: parse, logger: logger,
		appends: make(chan struct{}, webhookConcurrency), lookups: make(chan struct{}, lookupConcurrency),
		recorded:  newRecentIDs(rememberedIDs),
		onInbound: onInbound, since: clock(),
	}
}

// Handle records a delivery whose signature was checked. When it answers nil
// all of it stands in the log. An error says that some of it may not, and that
// the same delivery may come again; errors.Is(err, event.ErrUnavailable) if the
// event store is away. deliveryID names the request in the log.
func (h *RecordWebhook) Handle(ctx context.Context, raw []byte, deliveryID string) error {
	sum := sha256.Sum256(raw)
	cause := Cause{
		By:          domain.Actor{Kind: domain.ActorWebhook, ID: deliveryID},
		CausationID: hex.EncodeToString(sum[:])[:32],
	}
	d := h.parse(raw)
	orphans, err := h.recordStatuses(ctx, d.Statuses, cause)
	if err == nil {
		err = h.recordOthers(ctx, d, orphans, cause)
	}
	h.observe(err)
	if err != nil {
		return fmt.Errorf("record webhook %s: %w", deliveryID, err)
	}
	return nil
}

// RecordingSince is since when webhooks could be recorded without a break; now
// if they cannot be. Settlement of lost answers counts from it.
func (h *RecordWebhook) RecordingSince() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken {
		return h.clock()
	}
	return h.since
}

// Check asks the event store whether webhooks can be recorded. Called on a
// timer it notices the end of an outage while WhatsApp still holds back.
func (h *RecordWebhook) Check(ctx context.Context) error {
	err := h.log.Ping(ctx)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	h.observe(err)
	return err
}

func (h *RecordWebhook) observe(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case errors.Is(err, event.ErrUnavailable):
		h.broken = true
	case err == nil && h.broken:
		h.broken, h.since = false, h.clock()
	}
}

// recordStatuses records the statuses whose messages are known, each message's
// in one append, and answers the others.
func (h *RecordWebhook) recordStatuses(ctx context.Context, statuses []webhook.Status, cause Cause) ([]webhook.Status, error) {
	var claimed, unclaimed []webhook.Status
	for _, s := range statuses {
		if s.Call != 0 {
			claimed = append(claimed, s)
		} else {
			unclaimed = append(unclaimed, s)
		}
	}
	found, orphans := h.find(ctx, unclaimed)
	// What the callback data claims may be wrong; then the wamid is asked.
	unfit, err := h.recordFound(ctx, append(claimed, found...), cause)
	if err != nil {
		return nil, err
	}
	var again []webhook.Status
	for _, s := range unfit {
		if s.Call == 0 {
			orphans = append(orphans, s)
			continue
		}
		s.MessageID, s.Call = uuid.Nil, 0
		again = append(again, s)
	}
	found, unknown := h.find(ctx, again)
	unfit, err = h.recordFound(ctx, found, cause)
	return slices.Concat(orphans, unknown, unfit), err
}

// find completes the message ids of statuses by their wamids. A read model that
// does not answer knows none: it must not keep a status out of the log.
func (h *RecordWebhook) find(ctx context.Context, statuses []webhook.Status) (found, unknown []webhook.Status) {
	if len(statuses) == 0 {
		return nil, nil
	}
	var wamids []string
	index := make(map[string]int, len(statuses))
	for _, s := range statuses {
		if _, known := index[s.WhatsAppID]; !known {
			index[s.WhatsAppID] = len(wamids)
			wamids = append(wamids, s.WhatsAppID)
		}
	}
	ids := make([]uuid.UUID, len(wamids))
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	err := each(lookup, h.lookups, len(wamids), func(ctx context.Context, i int) error {
		id, ok, err := h.wamids.MessageOf(ctx, wamids[i])
		if err == nil && ok {
			ids[i] = id
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		h.logger.WarnContext(ctx, "read model did not find the messages of statuses; they are joined later", "error", err)
	}
	for _, s := range statuses {
		if s.MessageID = ids[index[s.WhatsAppID]]; s.MessageID == uuid.Nil {
			unknown = append(unknown, s)
		} else {
			found = append(found, s)
		}
	}
	return found, unknown
}

// recordFound records statuses on the messages they name, and answers those
// that fit no call of them.
func (h *RecordWebhook) recordFound(ctx context.Context, statuses []webhook.Status, cause Cause) ([]webhook.Status, error) {
	var ids []uuid.UUID
	byMessage := make(map[uuid.UUID][]webhook.Status)
	for _, s := range statuses {
		if _, known := byMessage[s.MessageID]; !known {
			ids = append(ids, s.MessageID)
		}
		byMessage[s.MessageID] = append(byMessage[s.MessageID], s)
	}
	unfit := make([][]webhook.Status, len(ids))
	err := each(ctx, h.appends, len(ids), func(ctx context.Context, i int) (err error) {
		unfit[i], err = h.recordOn(ctx, ids[i], byMessage[ids[i]], cause)
		return err
	})
	return slices.Concat(unfit...), err
}

// recordOn records statuses on one message.
func (h *RecordWebhook) recordOn(ctx context.Context, id uuid.UUID, statuses []webhook.Status, cause Cause) (unfit []webhook.Status, err error) {
	ours, unfit, err := h.ours(ctx, id, statuses)
	if err != nil || len(ours) == 0 {
		return unfit, err
	}
	reports := make([]message.Report, len(ours))
	for i, s := range ours {
		reports[i] = orphaned(s).Report()
		reports[i].Call = s.Call
	}
	unmatched, err := h.messages.RecordReports(ctx, id, cause, reports)
	if err != nil {
		return nil, err
	}
	for _, i := range unmatched {
		unfit = append(unfit, ours[i])
	}
	return unfit, nil
}

// ours parts the statuses that came for the number of the message's sender from
// the others: callback data may be another installation's, or made up.
func (h *RecordWebhook) ours(ctx context.Context, id uuid.UUID, statuses []webhook.Status) (ours, others []webhook.Status, err error) {
	senderID, err := h.messages.senderOf(ctx, id)
	var owner sender.Sender
	if err == nil {
		owner, err = h.senders.Load(ctx, senderID)
	}
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		return nil, statuses, nil
	case err != nil:
		return nil, nil, err
	}
	for _, s := range statuses {
		if s.PhoneNumberID == owner.PhoneNumberID {
			ours = append(ours, s)
		} else {
			others = append(others, s)
		}
	}
	return ours, others, nil
}

// item is one event of a stream without an order among its writers.
type item struct {
	stream   string
	new      event.New
	raw      []byte // parked instead when the event is too large
	received string // the phone number id of an inbound message
}

// recordOthers records all that belongs to no known message.
func (h *RecordWebhook) recordOthers(ctx context.Context, d webhook.Delivery, orphans []webhook.Status, cause Cause) error {
	now := h.clock()
	meta := event.Meta{RecordedAt: now, CausationID: cause.CausationID, By: cause.By}
	var items []item
	seen := make(map[uuid.UUID]bool)
	add := func(it item) {
		if id := it.new.ID; !seen[id] && !h.recorded.has(id) {
			seen[id] = true
			it.new.Meta = meta
			items = append(items, it)
		}
	}
	for _, s := range orphans {
		e := orphaned(s)
		add(item{stream: event.OrphanStream(place(s.PhoneNumberID)), new: event.New{
			ID: inbound.EventID("status", s.PhoneNumberID, s.WhatsAppID, string(s.Kind)), Event: e,
			Subject: event.Subject{People: []string{s.RecipientID}},
		}, raw: []byte(e.Personal.Failure.Raw)})
	}
	for _, in := range d.Inbound {
		add(item{stream: event.InboundStream(place(in.PhoneNumberID)), new: event.New{
			ID: inbound.EventID("inbound", in.PhoneNumberID, in.WhatsAppID), Event: received(in),
			Subject: event.Subject{People: []string{in.From}},
		}, raw: in.Raw, received: in.PhoneNumberID})
	}
	for _, c := range d.Changes {
		id := inbound.EventID("change", c.BusinessAccountID, c.PhoneNumberID, c.Field, c.At.UTC().Format(time.RFC3339), string(c.Value))
		add(item{stream: event.AccountStream(place(c.BusinessAccountID)), new: event.New{ID: id, Event: inbound.AccountChanged{
			BusinessAccountID: c.BusinessAccountID, PhoneNumberID: c.PhoneNumberID, Field: c.Field, At: c.At,
			Failures: c.Failures, Personal: inbound.AccountPersonal{Value: c.Value},
		}, Subject: event.Subject{People: peopleIn(c.Value)}}, raw: c.Value})
	}
	for _, p := range d.Parked {
		for _, it := range parked(p, now) {
			add(it)
		}
	}
	err := each(ctx, h.appends, len(items), func(ctx context.Context, i int) error { return h.appendItem(ctx, items[i], now) })
	if err != nil {
		return err
	}
	counts := make(map[string]int)
	for _, it := range items {
		h.recorded.add(it.new.ID)
		if it.received != "" {
			counts[it.received]++
		}
	}
	for number, n := range counts {
		h.onInbound(number, n)
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

// each calls do for 0 to n-1, as many at once as there are slots, waits for all
// and answers the first error, which ends the others.
func each(ctx context.Context, slots chan struct{}, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range n {
		if !acquire(ctx, slots) {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// acquire takes a slot; false if ctx ended first.
func acquire(ctx context.Context, slots chan struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// orphaned is a status as the event of one whose message is not known.
func orphaned(s webhook.Status) inbound.StatusOrphaned {
	return inbound.StatusOrphaned{
		BusinessAccountID: s.BusinessAccountID, PhoneNumberID: s.PhoneNumberID, Kind: s.Kind, At: s.At,
		Pricing: s.Pricing, Failure: s.Failure, Personal: inbound.OrphanPersonal{
			WhatsAppID: s.WhatsAppID, RecipientID: s.RecipientID, Failure: s.Personal,
		},
	}
}

func received(in webhook.Inbound) inbound.InboundReceived {
	return inbound.InboundReceived{
		BusinessAccountID: in.BusinessAccountID, PhoneNumberID: in.PhoneNumberID, Type: in.Type, At: in.At,
		Personal: inbound.InboundPersonal{
			WhatsAppID: in.WhatsAppID, From: in.From, Name: in.Name, ContextID: in.ContextID, Message: in.Raw,
		},
	}
}

// parked is what could not be understood, in pieces that the store takes.
func parked(p webhook.Parked, now time.Time) []item {
	sum := sha256.Sum256(p.Raw)
	people := peopleIn(p.Raw)
	parts := max(1, (len(p.Raw)+parkedPart-1)/parkedPart)
	items := make([]item, parts)
	for i := range items {
		raw := p.Raw[i*parkedPart : min((i+1)*parkedPart, len(p.Raw))]
		items[i] = item{stream: event.ParkedStream(now), raw: raw, new: event.New{
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

// place is an id of WhatsApp as a part of a stream's name. What has not the
// form of one goes to a place of its own: names hold nothing unforeseen.
func place(id string) string {
	const longest = 32
	if id == "" || len(id) > longest {
		return "unknown"
	}
	for _, c := range []byte(id) {
		if c < '0' || c > '9' {
			return "unknown"
		}
	}
	return id
}

// recentIDs remembers the ids added last.
type recentIDs struct {
	mu   sync.Mutex
	ids  map[uuid.UUID]bool
	ring []uuid.UUID
	next int
}

func newRecentIDs(limit int) *recentIDs {
	return &recentIDs{ids: make(map[uuid.UUID]bool), ring: make([]uuid.UUID, limit)}
}

func (r *recentIDs) has(id uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[id]
}

func (r *recentIDs) add(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids[id] {
		return
	}
	delete(r.ids, r.ring[r.next])
	r.ids[id], r.ring[r.next] = true, id
	r.next = (r.next + 1) % len(r.ring)
}
