package graph

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/campaign"
	"github.com/waypost/waypost/domain/message"
)

// given returns a pointer to v, or nil if v is the zero value.
func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// or returns the value that p points to, or the alternative if p is nil.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// messageOf returns the caller's view of a folded message.
func (r *Resolver) messageOf(ctx context.Context, l repository.Loaded) *Message {
	c, m := callerOf(ctx), l.Message
	v := &Message{
		ID: l.ID.String(), SenderID: m.Sender, IdempotencyKey: given(m.IdempotencyKey), To: c.number(m.To), ToUserID: c.userID(m.ToUserID),
		Type: m.Kind, Status: m.Status, Priority: m.Priority, Attempts: m.Attempts, Calls: len(m.Calls),
		StatusReason: given(m.Reason), SentTwice: m.SentTwice, Cursor: r.cursor(l.Position),
		OnAmbiguous: m.OnAmbiguous, ReplyTo: c.wamid(given(m.ReplyTo)), WhatsappID: c.wamid(given(m.WhatsAppID)),
		QueuedAt: m.QueuedAt, SendAt: instant(m.SendAt), ExpiresAt: instant(m.ExpiresAt), SentAt: instant(m.SentAt),
		DeliveredAt: instant(m.DeliveredAt), ReadAt: instant(m.ReadAt), OverdueSince: instant(m.OverdueSince), Failure: c.storedFailure(m.Failure),
		Labels: c.labels(m.Labels), Content: c.content(m.Content), Pricing: m.Pricing, HeldForQuality: m.HeldForQuality, OutsideWindow: outsideWindowOf(m), Fallback: c.content(m.Fallback), SubstitutedAt: instant(m.SubstitutedAt), AttemptLog: c.attempts(m.Calls), ErasedAt: instant(l.ErasedAt),
	}
	v.Pauses = r.pausesOf(c, m.Status, m.Labels)
	if m.Status == message.StatusRetrying {
		v.RetryAt = instant(m.DueAt)
	}
	return v
}

// listed returns the caller's view of a message in a list. A list contains no content,
// so content is folded from the stream when it is requested.
func (r *Resolver) listed(ctx context.Context, m query.Message) *Message {
	c := callerOf(ctx)
	v := &Message{
		ID: m.ID.String(), SenderID: m.SenderID, IdempotencyKey: m.IdempotencyKey,
		Type: m.Type, Status: m.Status, Priority: m.Priority, Attempts: m.Attempts, Calls: m.Calls,
		StatusReason: m.StatusReason, SentTwice: m.SentTwice, Cursor: r.cursor(m.Position),
		OnAmbiguous: m.OnAmbiguous, ReplyTo: c.wamid(m.ReplyTo), WhatsappID: c.wamid(m.WhatsAppID),
		QueuedAt: m.QueuedAt, SendAt: m.SendAt, ExpiresAt: m.ExpiresAt, SentAt: m.SentAt,
		DeliveredAt: m.DeliveredAt, ReadAt: m.ReadAt, OverdueSince: m.OverdueSince, RetryAt: m.RetryAt, Labels: c.labels(m.Labels),
		Listed: true, ErasedAt: m.ErasedAt, Pauses: r.pausesOf(c, m.Status, m.Labels),
	}
	if m.To != nil {
		v.To = c.number(*m.To)
	}
	if m.ToUserID != nil {
		v.ToUserID = c.userID(*m.ToUserID)
	}
	if m.Failure != nil {
		v.Failure = c.failure(m.Failure.Failure, m.Failure.Details, m.Failure.At)
	}
	return v
}

// outsideWindowOf returns what to do with a message whose recipient's window is closed.
func outsideWindowOf(m *message.Message) message.OutsideWindow {
	return cmp.Or(m.OutsideWindow, message.OutsideSend)
}

func (c caller) number(to string) *string {
	if to != "" && !c.may(ScopePersonal) {
		to = message.MaskNumber(to)
	}
	return given(to)
}

func (c caller) userID(id string) *string {
	if id != "" && !c.may(ScopePersonal) {
		id = message.MaskUserID(id)
	}
	return given(id)
}

// wamid hides WhatsApp's IDs, which contain the number that they belong to in base64.
func (c caller) wamid(id *string) *string {
	if !c.may(ScopePersonal) {
		return nil
	}
	return id
}

func (c caller) content(raw json.RawMessage) json.RawMessage {
	if !c.may(ScopePersonal) {
		return nil
	}
	return raw
}

func (c caller) storedFailure(f *message.StoredFailure) *MessageFailure {
	if f == nil {
		return nil
	}
	return c.failure(f.Failure, f.Details, f.At)
}

func (c caller) failure(f message.Failure, details string, at time.Time) *MessageFailure {
	if !c.may(ScopePersonal) {
		details = ""
	}
	return &MessageFailure{
		Code: f.Code, Category: string(f.Category), Class: f.Class, Message: f.Message, Details: given(details),
		FbtraceID: given(f.FBTraceID), HTTPStatus: given(f.HTTPStatus), Advice: f.Advice, At: at,
	}
}

func (c caller) attempts(calls []message.Call) []*Attempt {
	out := make([]*Attempt, len(calls))
	for i, call := range calls {
		out[i] = &Attempt{
			Call: call.Number, StartedAt: call.StartedAt, EndedAt: instant(call.EndedAt), Outcome: call.Outcome,
			WhatsappID: c.wamid(given(call.WhatsAppID)), Failure: c.storedFailure(call.Failure),
		}
		if call.Lost {
			out[i].SettledBy = given(string(call.SettledBy))
		}
	}
	return out
}

// campaignOfAll is why a key that is limited to senders can't pause a campaign.
const campaignOfAll = "a pause of a campaign concerns the messages of all senders"

// pausesOf returns the pauses that a message with these labels waits for.
func (r *Resolver) pausesOf(c caller, status message.Status, labels []message.Label) []*CampaignPause {
	pauses := []*CampaignPause{}
	if !status.Open() || len(labels) == 0 {
		return pauses
	}
	for _, p := range r.opts.Queries.CampaignPausesOf(labels) {
		pauses = append(pauses, c.campaignPause(p))
	}
	return pauses
}

// resumeCampaign ends the pause of a label, or the one with an ID.
func (r *Resolver) resumeCampaign(ctx context.Context, label *message.Label, id *string) (campaign.Pause, bool, error) {
	switch {
	case (label == nil) == (id == nil):
		return campaign.Pause{}, false, domain.Invalid("label", "give exactly one of label and id")
	case label != nil:
		return r.opts.Commands.ResumeCampaign(ctx, *label, r.cause(ctx))
	}
	parsed, err := uuid.Parse(*id)
	if err != nil {
		return campaign.Pause{}, false, domain.Invalid("id", "must be the ID of a pause, a UUID")
	}
	return r.opts.Commands.EndCampaignPause(ctx, parsed, r.cause(ctx))
}

func (c caller) campaignPause(p campaign.Pause) *CampaignPause {
	if !p.HasLabel() {
		p.Label = message.Label{Name: maskedLabel, Value: maskedLabel}
	}
	return &CampaignPause{
		ID: p.ID.String(), Label: c.labels([]message.Label{p.Label})[0], Reason: p.Reason, Since: p.Since,
		By: &Actor{Kind: p.By.Kind, ID: p.By.ID, OnBehalfOf: given(p.By.OnBehalfOf)},
	}
}

// maskedLabel is returned in place of a label's value.
const maskedLabel = "•••"

// labels returns a message's labels. Their values are masked unless the caller has
// access to personal data: they are sealed like the recipient and the content, and can
// be just as sensitive.
func (c caller) labels(in []message.Label) []*message.Label {
	out := make([]*message.Label, len(in))
	for i, l := range in {
		if !c.may(ScopePersonal) {
			l.Value = maskedLabel
		}
		out[i] = &l
	}
	return out
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
