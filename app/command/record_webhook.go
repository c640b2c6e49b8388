package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/template"
)

const (
	// webhookConcurrency is the number of appends of webhooks in progress in the process.
	// One connection to the event store carries at most 100 streams.
	webhookConcurrency = 64
	// lookupConcurrency is the number of lookups in the read model in progress. They have
	// slots of their own, so that a lookup that hangs delays no append.
	lookupConcurrency = 16
	// lookupTimeout bounds how long a delivery waits for the read model, at most twice,
	// because WhatsApp expects a response soon. An orphan is joined later anyway.
	lookupTimeout = 500 * time.Millisecond
	// parkedPart is the maximum number of raw bytes in one event. As base64, it is below 1
	// MiB, which EventStoreDB accepts in each append by default.
	parkedPart = 512 << 10
	// statusesAtOnce is the number of statuses of a delivery to look up together and record
	// before the next ones.
	statusesAtOnce = 1000
	// batchItems and batchBytes bound one append of several items.
	batchItems = 100
	batchBytes = 128 << 10
	// rememberedIDs bounds the derived IDs remembered as recorded. A webhook that WhatsApp
	// repeats within minutes then needs no append.
	rememberedIDs = 50_000
)

// WhatsAppIDs finds messages by WhatsApp's own IDs.
type WhatsAppIDs interface {
	// MessagesOf returns the messages that WhatsApp gave these wamids. Unknown ones are
	// missing from the result.
	MessagesOf(ctx context.Context, wamids []string) (map[string]uuid.UUID, error)
}

// ParseWebhook parses the body of a delivery. It parks what it cannot parse.
type ParseWebhook func(raw []byte) webhook.Delivery

// RecordWebhook appends the contents of a delivery from WhatsApp directly to the event log:
// the event store is the inbox. It is safe for concurrent use.
type RecordWebhook struct {
	log      event.Log
	clock    event.Clock
	reports  *Reports
	wamids   WhatsAppIDs
	parse    ParseWebhook
	logger   *slog.Logger
	appends  chan struct{} // slots of the whole process, like lookups
	lookups  chan struct{}
	recorded recentIDs
	// onInbound receives the number of new messages to a phone number, on whatever field, and
	// of handovers. They count toward its throughput limit at WhatsApp.
	onInbound func(phoneNumberID string, n int)
	// templates records what webhooks say about message templates. If nil, that stays only in
	// AccountChanged.
	templates *repository.Templates
	// onHeard receives the phone numbers of which a delivery of the field "messages" came.
	onHeard func(phoneNumberIDs []string)
	// known finds recorded links. If nil, every link is recorded.
	known  KnownLinks
	linked *linkedNow
	// listSenders returns all senders. If nil, reports about accounts stay only in AccountChanged.
	listSenders ListSenders

	mu     sync.Mutex
	since  time.Time
	broken bool
}

// NewRecordWebhook returns the use case. onInbound can be nil.
func NewRecordWebhook(
	log event.Log, clock event.Clock, messages *Messages, senders *Senders, wamids WhatsAppIDs, parse ParseWebhook,
	onInbound func(phoneNumberID string, n int), logger *slog.Logger,
) *RecordWebhook {
	if onInbound == nil {
		onInbound = func(string, int) {}
	}
	return &RecordWebhook{
		log: log, clock: clock, reports: NewReports(messages, senders), wamids: wamids, parse: parse, logger: logger,
		appends: make(chan struct{}, webhookConcurrency), lookups: make(chan struct{}, lookupConcurrency),
		recorded:  newRecentIDs(rememberedIDs),
		onInbound: onInbound, linked: newLinkedNow(), since: clock(),
	}
}

// Linking makes h skip the links that known finds, and returns h.
func (h *RecordWebhook) Linking(known KnownLinks) *RecordWebhook {
	h.known = known
	return h
}

// ReportingTo makes h record on templates what webhooks say about them, and returns h.
func (h *RecordWebhook) ReportingTo(templates *repository.Templates) *RecordWebhook {
	h.templates = templates
	return h
}

// Hearing makes heard receive the phone numbers of which messages or statuses were recorded, and
// returns h.
func (h *RecordWebhook) Hearing(heard func(phoneNumberIDs []string)) *RecordWebhook {
	h.onHeard = heard
	return h
}

// Handle records a delivery whose signature was verified. If it returns nil, the whole
// delivery is in the event log. After an error, some of it may be missing, and the same
// delivery can be recorded again. The error is event.ErrUnavailable if the event store is
// unavailable. deliveryID names the request in the log.
func (h *RecordWebhook) Handle(ctx context.Context, raw []byte, deliveryID string) error {
	sum := sha256.Sum256(raw)
	cause := event.Cause{
		By:          domain.Actor{Kind: domain.ActorWebhook, ID: deliveryID},
		CausationID: hex.EncodeToString(sum[:])[:32],
	}
	delivery := h.parse(raw)
	err := h.record(ctx, delivery, cause)
	if err != nil && ctx.Err() != nil && !errors.Is(err, event.ErrUnavailable) {
		// What took the time was waiting for the event store, here or in another webhook.
		err = fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	h.observe(err)
	if err != nil {
		return fmt.Errorf("record webhook %s: %w", deliveryID, err)
	}
	if h.onHeard != nil {
		h.onHeard(numbersIn(delivery))
	}
	return nil
}

// numbersIn returns the phone numbers of which a delivery has something of the field "messages".
func numbersIn(d webhook.Delivery) []string {
	var numbers []string
	add := func(number string) {
		if number != "" && !slices.Contains(numbers, number) {
			numbers = append(numbers, number)
		}
	}
	for i := range d.Statuses {
		if s := &d.Statuses[i]; !s.Foreign {
			add(s.PhoneNumberID)
		}
	}
	for i := range d.Inbound {
		if in := &d.Inbound[i]; in.Field == "" {
			add(in.PhoneNumberID)
		}
	}
	return numbers
}

// record records a delivery part by part. If ctx ends before all of it is recorded, a
// repeated delivery skips the recorded parts and gets further.
func (h *RecordWebhook) record(ctx context.Context, d webhook.Delivery, cause event.Cause) error {
	for part := range slices.Chunk(d.Statuses, statusesAtOnce) {
		if err := h.recordStatuses(ctx, part, cause); err != nil {
			return err
		}
	}
	if err := h.recordOthers(ctx, d, cause); err != nil {
		return err
	}
	if err := h.recordTemplates(ctx, d.Templates, cause); err != nil {
		return err
	}
	if err := h.recordAccounts(ctx, d.Accounts, cause); err != nil {
		return err
	}
	return h.recordLinks(ctx, d.Links, cause)
}

// recordTemplates records what a delivery says about message templates, in its order.
func (h *RecordWebhook) recordTemplates(ctx context.Context, reports []template.Report, cause event.Cause) error {
	if h.templates == nil {
		return nil
	}
	for _, r := range reports {
		if r.At.IsZero() {
			r.At = h.clock().Truncate(time.Second)
		}
		if _, err := h.templates.Change(ctx, r.Ref, cause, func(t template.Template) []domain.Event { return template.Record(t, r) }); err != nil {
			return err
		}
	}
	return nil
}

// RecordingSince returns the time since which webhooks could be recorded without
// interruption, or the current time if they cannot be recorded. The settlement of lost
// responses is timed from it.
func (h *RecordWebhook) RecordingSince() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken {
		return h.clock()
	}
	return h.since
}

// Recording reports whether webhooks can be recorded, and whether they could be all the time
// since then.
func (h *RecordWebhook) Recording(since time.Time) (now, unbroken bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.broken, !h.broken && !h.since.After(since)
}

// Check checks whether webhooks can be recorded. Called on a timer, it notices the end of
// an outage while WhatsApp still waits before it retries.
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

// recordStatuses records each status on the message that it belongs to, the statuses of one
// message in one append, and the others as orphans.
func (h *RecordWebhook) recordStatuses(ctx context.Context, statuses []webhook.Status, cause event.Cause) error {
	known, err := h.knownNumbers(ctx, statuses)
	if err != nil {
		return err
	}
	var orphans, claimed, unclaimed []webhook.Status
	for _, s := range statuses {
		switch {
		case h.recorded.has(orphanID(s)): // it is waiting to be joined
		case s.Foreign, !known[s.PhoneNumberID]:
			orphans = append(orphans, s)
		case s.Call != 0:
			claimed = append(claimed, s)
		default:
			unclaimed = append(unclaimed, s)
		}
	}
	found, unknown := h.find(ctx, unclaimed)
	unfit, err := h.recordFound(ctx, append(claimed, found...), cause)
	if err != nil {
		return err
	}
	items := make([]item, 0, len(orphans)+len(unknown)+len(unfit))
	for _, s := range slices.Concat(orphans, unknown, unfit) {
		items = append(items, orphanItem(s))
	}
	return h.appendItems(ctx, items, cause)
}

// knownNumbers reports which phone numbers of the statuses belong to senders. What other
// systems send from their numbers then costs one read for each number.
func (h *RecordWebhook) knownNumbers(ctx context.Context, statuses []webhook.Status) (map[string]bool, error) {
	known := make(map[string]bool)
	var numbers []string
	for _, s := range statuses {
		if _, asked := known[s.PhoneNumberID]; !asked {
			known[s.PhoneNumberID] = false
			numbers = append(numbers, s.PhoneNumberID)
		}
	}
	is := make([]bool, len(numbers))
	err := each(ctx, h.appends, len(numbers), func(ctx context.Context, i int) (err error) {
		is[i], err = h.reports.senders.HasNumber(ctx, numbers[i])
		return err
	})
	for i, n := range numbers {
		known[n] = is[i]
	}
	return known, err
}

// find looks up the message IDs of statuses by their wamids. If the read model fails, all
// of them are unknown, because it must not keep a status out of the log.
func (h *RecordWebhook) find(ctx context.Context, statuses []webhook.Status) (found, unknown []webhook.Status) {
	if len(statuses) == 0 {
		return nil, nil
	}
	wamids := make([]string, 0, len(statuses))
	seen := make(map[string]bool, len(statuses))
	for _, s := range statuses {
		if !seen[s.WhatsAppID] {
			seen[s.WhatsAppID] = true
			wamids = append(wamids, s.WhatsAppID)
		}
	}
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var ids map[string]uuid.UUID
	err := each(lookup, h.lookups, 1, func(ctx context.Context, _ int) (err error) {
		ids, err = h.wamids.MessagesOf(ctx, wamids)
		return err
	})
	if err != nil && ctx.Err() == nil {
		h.logger.WarnContext(ctx, "read model did not find the messages of statuses; they are joined later", "error", err)
	}
	for _, s := range statuses {
		if s.MessageID = ids[s.WhatsAppID]; s.MessageID == uuid.Nil {
			unknown = append(unknown, s)
		} else {
			found = append(found, s)
		}
	}
	return found, unknown
}

// recordFound records statuses on the messages that they name, and returns those that do
// not belong to them.
func (h *RecordWebhook) recordFound(ctx context.Context, statuses []webhook.Status, cause event.Cause) ([]webhook.Status, error) {
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

// recordOn records statuses on one message and returns those that do not belong to it.
func (h *RecordWebhook) recordOn(ctx context.Context, id uuid.UUID, statuses []webhook.Status, cause event.Cause) (unfit []webhook.Status, err error) {
	reports, numbers := make([]message.StatusUpdate, len(statuses)), make([]string, len(statuses))
	for i, s := range statuses {
		reports[i], numbers[i] = orphaned(s).Report(), s.PhoneNumberID
	}
	unmatched, err := h.reports.Record(ctx, id, cause, reports, numbers)
	if err != nil {
		return nil, err
	}
	for _, i := range unmatched {
		unfit = append(unfit, statuses[i])
	}
	return unfit, nil
}

// recordOthers records everything except statuses.
func (h *RecordWebhook) recordOthers(ctx context.Context, d webhook.Delivery, cause event.Cause) error {
	senders, err := h.sendersOf(ctx, d)
	if err != nil {
		return err
	}
	var items []item
	for _, in := range d.Inbound {
		items = append(items, item{stream: event.InboundStream(event.StreamPart(in.PhoneNumberID)), new: event.Proposed{
			ID: inbound.EventID("inbound", in.PhoneNumberID, in.WhatsAppID), Event: received(in),
			Subject: event.Subject{People: []string{in.From}},
		}, raw: in.Raw, received: in.PhoneNumberID, senderID: senders[in.PhoneNumberID]})
	}
	choices, err := h.choicesIn(ctx, d, senders)
	if err != nil {
		return err
	}
	items = append(items, choices...)
	for _, e := range d.Echoes {
		items = append(items, item{stream: event.EchoStream(event.StreamPart(e.PhoneNumberID)), new: event.Proposed{
			ID: inbound.EventID("echo", e.PhoneNumberID, e.Field, e.WhatsAppID), Event: echoed(e),
			Subject: event.Subject{People: []string{e.To, e.ToUserID}},
		}, raw: e.Raw, senderID: senders[e.PhoneNumberID]})
	}
	for _, c := range d.Changes {
		received, whole := "", c.Value
		if c.Traffic {
			received = c.PhoneNumberID
		}
		if c.Around != nil {
			whole = c.Around
		}
		id := inbound.EventID("change", c.BusinessAccountID, c.PhoneNumberID, c.Field, c.At.UTC().Format(time.RFC3339), string(c.Value))
		items = append(items, item{stream: event.AccountStream(event.StreamPart(c.BusinessAccountID)), new: event.Proposed{ID: id, Event: inbound.AccountChanged{
			BusinessAccountID: c.BusinessAccountID, PhoneNumberID: c.PhoneNumberID, Field: c.Field, At: c.At,
			Failures: c.Failures, Personal: inbound.AccountPersonal{Value: c.Value},
		}, Subject: event.Subject{People: peopleIn(whole)}}, raw: c.Value, received: received, senderID: senders[c.PhoneNumberID]})
	}
	now := h.clock()
	for _, p := range d.Parked {
		items = append(items, parked(p, now)...)
	}
	return h.appendItems(ctx, items, cause)
}

// sendersOf returns the senders of the numbers that a delivery is about, by phone number ID.
func (h *RecordWebhook) sendersOf(ctx context.Context, d webhook.Delivery) (map[string]string, error) {
	senders := make(map[string]string)
	add := func(number string) (err error) {
		if _, known := senders[number]; !known {
			senders[number], err = h.reports.senders.SenderOf(ctx, number)
		}
		return err
	}
	for _, in := range d.Inbound {
		if err := add(in.PhoneNumberID); err != nil {
			return nil, err
		}
	}
	for _, c := range d.Changes {
		if err := add(c.PhoneNumberID); err != nil {
			return nil, err
		}
	}
	for _, p := range d.Preferences {
		if err := add(p.PhoneNumberID); err != nil {
			return nil, err
		}
	}
	for _, e := range d.Echoes {
		if err := add(e.PhoneNumberID); err != nil {
			return nil, err
		}
	}
	return senders, nil
}

// appendItems appends what this process has not recorded yet. It remembers what it appended
// before an error, so that a repeated delivery continues from there.
func (h *RecordWebhook) appendItems(ctx context.Context, items []item, cause event.Cause) error {
	now := h.clock()
	meta := cause.Meta(now)
	seen := make(map[uuid.UUID]bool, len(items))
	items = slices.DeleteFunc(items, func(it item) bool {
		repeated := seen[it.new.ID] || h.recorded.has(it.new.ID)
		seen[it.new.ID] = true
		return repeated
	})
	for i := range items {
		items[i].new.Meta = meta
		items[i].new.Meta.Sender = items[i].senderID
	}
	batches := batchesOf(items)
	return each(ctx, h.appends, len(batches), func(ctx context.Context, i int) error {
		if err := h.appendBatch(ctx, batches[i], now); err != nil {
			return err
		}
		for _, it := range batches[i] {
			h.recorded.add(it.new.ID)
			if it.received != "" {
				h.onInbound(it.received, 1)
			}
		}
		return nil
	})
}

// each calls do for 0 to n-1, concurrently as far as there are slots, and waits for all
// calls. It returns the first error, which cancels the other calls.
func each(ctx context.Context, slots chan struct{}, n int, do func(ctx context.Context, i int) error) error {
	if n == 1 {
		if !acquire(ctx, slots) {
			return context.Cause(ctx)
		}
		defer func() { <-slots }()
		return do(ctx, 0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range n {
		if !acquire(ctx, slots) {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			repository.GrowStack()
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// acquire takes a slot. It returns false if ctx ends first.
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

// recentIDs remembers the IDs added last. It is safe for concurrent use.
type recentIDs struct {
	ids *lru.Cache[uuid.UUID, struct{}]
}

func newRecentIDs(limit int) recentIDs {
	ids, err := lru.New[uuid.UUID, struct{}](limit)
	if err != nil {
		panic(err) // the limit is not positive
	}
	return recentIDs{ids}
}

func (r recentIDs) has(id uuid.UUID) bool { return r.ids.Contains(id) }

// add adds an ID. Adding it again does not make it more recent.
func (r recentIDs) add(id uuid.UUID) { r.ids.ContainsOrAdd(id, struct{}{}) }
