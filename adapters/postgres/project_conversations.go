package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

const placeConversation = "conversation"

// conversationsFold returns the projection of what is known about people and the senders that
// they talk to. What a message leads to, except for two rare outcomes, is not part of it:
// queries read it from the rows of messages.
func conversationsFold(log event.Log, vault Vault) projection {
	return projection{
		name:   "conversations",
		tables: []string{"conversation", "conversation_item"},
		types: append(typeNames(conversation.Types()), inbound.InboundReceived{}.EventType(), inbound.EchoReceived{}.EventType(),
			inbound.AccountChanged{}.EventType(), message.Confirmed{}.EventType(), message.Failed{}.EventType(), event.PersonalErased{}.EventType()),
		apply: func(ctx context.Context, _ pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.NewWork, error) {
			if vault == nil {
				return nil, nil
			}
			f := conversationFold{sealer: sealer{ctx, vault}, log: log, rows: make(map[conversationKey]*conversationRow)}
			for _, r := range events {
				if e, ok := r.Event.(event.PersonalErased); ok {
					f.write(writes)
					writes.Queue(`DELETE FROM conversation WHERE data_key = ANY ($1)`, e.Keys)
					writes.Queue(`DELETE FROM conversation_item WHERE data_key = ANY ($1)`, e.Keys)
					continue
				}
				if err := f.apply(r); err != nil {
					return nil, err
				}
			}
			f.write(writes)
			return nil, nil
		},
	}
}

// conversationKey is the primary key of a row.
type conversationKey struct {
	sender, person string
	key            event.KeyID
}

// conversationRow is what a batch adds to a row.
type conversationRow struct {
	conversationKey
	conversation.Conversation

	name     []byte
	position event.Position
	// stream and revision are where the last inbound message is, or empty.
	stream   string
	revision event.Revision
}

// conversationFold folds a batch of events.
type conversationFold struct {
	sealer

	log   event.Log
	rows  map[conversationKey]*conversationRow
	order []*conversationRow
	items []conversationItem
}

// conversationItem is a row of conversation_item.
type conversationItem struct {
	conversationKey

	position event.Position
	at       time.Time
	stream   string
	revision event.Revision
}

// add adds the message of an event to the conversation of a row.
func (f *conversationFold) add(row *conversationRow, r event.Recorded, at time.Time) {
	f.items = append(f.items, conversationItem{
		conversationKey: row.conversationKey, position: r.Position, at: at, stream: storableKey(r.Stream), revision: r.Revision,
	})
}

// row returns the row of a person under a data key. exists is false if there can be none: if the
// personal data is not sealed, or if it is erased.
func (f *conversationFold) row(r event.Recorded, senderID, id string, key event.KeyID) (row *conversationRow, exists bool, err error) {
	if senderID == "" || id == "" || key == "" {
		return nil, false, nil
	}
	at := conversationKey{storableKey(senderID), string(identityHash(f.vault, id)), key}
	row = f.rows[at]
	if row == nil {
		name, err := f.seal(key, placeOfConversation(at.sender, []byte(at.person)), []byte(id))
		if err != nil || name == nil {
			return nil, false, err
		}
		row = &conversationRow{conversationKey: at, name: name}
		f.rows[at] = row
		f.order = append(f.order, row)
	}
	row.position = max(row.position, r.Position)
	return row, true, nil
}

func placeOfConversation(senderID string, person []byte) string {
	return placeConversation + "\n" + senderID + "\n" + hex.EncodeToString(person)
}

// learn merges what an event says about a person into the person's rows.
func (f *conversationFold) learn(r event.Recorded, senderID string, who conversation.Person, key event.KeyID, c conversation.Conversation) error {
	for _, id := range who.IDs() {
		row, exists, err := f.row(r, senderID, id, key)
		if err != nil {
			return err
		}
		if exists {
			row.Conversation = row.Merge(c)
			if _, isEcho := r.Event.(inbound.EchoReceived); isEcho {
				f.add(row, r, c.EchoedAt)
			}
		}
	}
	return nil
}

func (f *conversationFold) apply(r event.Recorded) error {
	switch e := r.Event.(type) {
	case inbound.InboundReceived:
		return f.inbound(r, e)
	case inbound.EchoReceived:
		who := conversation.PersonOf(e.Personal.To)
		who.UserID = conversation.PersonOf(e.Personal.ToUserID).UserID
		return f.learn(r, r.Meta.Sender, who, r.Key, conversation.Conversation{EchoedAt: orRecorded(e.At, r)})
	case inbound.AccountChanged:
		if e.Field != conversation.FieldCalls {
			return nil
		}
		for _, call := range conversation.CallsIn(e.Personal.Value) {
			if err := f.learn(r, r.Meta.Sender, call.Person, r.Key, conversation.Conversation{OpenedAt: call.At}); err != nil {
				return err
			}
		}
	case conversation.OptedOut:
		return f.choose(r, e.Choice, true)
	case conversation.OptedIn:
		return f.choose(r, e.Choice, false)
	case message.Confirmed:
		if e.Personal == nil {
			return nil
		}
		if until := conversation.FreeUntil(e.Personal.Conversation); !until.IsZero() {
			return f.aboutMessage(r, func([]event.Recorded) conversation.Conversation {
				return conversation.Conversation{FreeUntil: until}
			})
		}
	case message.Failed:
		if e.Failure.WindowClosed() {
			return f.aboutMessage(r, func(events []event.Recorded) conversation.Conversation {
				return conversation.Conversation{RefusedAt: calledAt(events, e.Call)}
			})
		}
	}
	return nil
}

func (f *conversationFold) inbound(r event.Recorded, e inbound.InboundReceived) error {
	if !conversation.ByPerson(e.Type) {
		return nil
	}
	at := orRecorded(e.At, r)
	c := conversation.Conversation{InboundAt: at}
	if conversation.Opens(e.Type) {
		c.OpenedAt = at
	}
	for _, id := range conversation.PersonOf(e.Personal.From).IDs() {
		row, exists, err := f.row(r, r.Meta.Sender, id, r.Key)
		if err != nil {
			return err
		}
		if exists {
			row.Conversation = row.Merge(c)
			row.stream, row.revision = storableKey(r.Stream), r.Revision
			f.add(row, r, at)
		}
	}
	return nil
}

func (f *conversationFold) choose(r event.Recorded, c conversation.Choice, optedOut bool) error {
	return f.learn(r, c.Sender, c.Personal.Person, r.Key, conversation.Conversation{Marketing: conversation.Marketing{
		OptedOut: optedOut, At: orRecorded(c.At, r), Source: conversation.Source(storableKey(string(c.Source))), Position: int64(r.Position),
	}})
}

// aboutMessage merges what an event of a message says about its recipient, which only the first
// event of the message names. Such events are rare, so it reads the stream. events are the earlier
// ones.
func (f *conversationFold) aboutMessage(r event.Recorded, learned func(events []event.Recorded) conversation.Conversation) error {
	events, err := readBefore(f.ctx, f.log, r)
	if err != nil || len(events) == 0 {
		return err
	}
	events = storableEvents(events)
	queued, ok := events[0].Event.(message.Queued)
	if !ok || events[0].Key == "" {
		return nil
	}
	if events[0].Personal == event.Locked {
		return fmt.Errorf("find the recipient of a message: %w", event.ErrLocked)
	}
	who := conversation.Person{Number: queued.Personal.To, UserID: queued.Personal.ToUserID}
	return f.learn(r, queued.Sender, who, events[0].Key, learned(events))
}

// calledAt returns when a call of a message was recorded, or zero.
func calledAt(events []event.Recorded, call int) time.Time {
	for _, r := range events {
		if e, ok := r.Event.(message.SendAttempted); ok && e.Call == call {
			return storableTime(r.Meta.RecordedAt)
		}
	}
	return time.Time{}
}

// orRecorded returns WhatsApp's time of an event, or that of recording if there is none.
func orRecorded(at time.Time, r event.Recorded) time.Time {
	if at.IsZero() {
		return storableTime(r.Meta.RecordedAt)
	}
	return storableTime(at)
}

// write adds the rows to the batch. What a row has from before is merged as in
// conversation.Conversation.Merge.
func (f *conversationFold) write(writes *pgx.Batch) {
	if len(f.order) == 0 {
		return
	}
	type row = *conversationRow
	times := func(of func(row) time.Time) []*time.Time {
		return column(f.order, func(r row) *time.Time { return timeOrNil(of(r)) })
	}
	chosen := func(r row) bool { return !r.Marketing.At.IsZero() }
	writes.Queue(`INSERT INTO conversation AS c (sender, person, data_key, name, position, inbound_stream, inbound_revision,
			inbound_at, opened_at, refused_at, echoed_at, free_until, opted_out, choice_at, choice_source, choice_position)
		SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bytea[], $5::bigint[], $6::text[], $7::bigint[],
			$8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
			$13::boolean[], $14::timestamptz[], $15::text[], $16::bigint[])
		ON CONFLICT (sender, person, data_key) DO UPDATE SET position = greatest(c.position, excluded.position),
			inbound_stream = coalesce(excluded.inbound_stream, c.inbound_stream),
			inbound_revision = coalesce(excluded.inbound_revision, c.inbound_revision),
			inbound_at = greatest(c.inbound_at, excluded.inbound_at), opened_at = greatest(c.opened_at, excluded.opened_at),
			refused_at = greatest(c.refused_at, excluded.refused_at), echoed_at = greatest(c.echoed_at, excluded.echoed_at),
			free_until = greatest(c.free_until, excluded.free_until),
			(opted_out, choice_at, choice_source, choice_position) = (SELECT o, at, source, position FROM (VALUES
				(c.opted_out, c.choice_at, c.choice_source, c.choice_position),
				(excluded.opted_out, excluded.choice_at, excluded.choice_source, excluded.choice_position)
			) AS v (o, at, source, position) ORDER BY at DESC NULLS LAST, position DESC NULLS LAST LIMIT 1)`,
		column(f.order, func(r row) string { return r.sender }),
		column(f.order, func(r row) []byte { return []byte(r.person) }),
		column(f.order, func(r row) string { return string(r.key) }),
		column(f.order, func(r row) []byte { return r.name }),
		column(f.order, func(r row) int64 { return int64(r.position) }),
		column(f.order, func(r row) *string { return textOrNil(r.stream) }),
		column(f.order, func(r row) *int64 {
			if r.stream == "" {
				return nil
			}
			n := int64(r.revision)
			return &n
		}),
		times(func(r row) time.Time { return r.InboundAt }), times(func(r row) time.Time { return r.OpenedAt }),
		times(func(r row) time.Time { return r.RefusedAt }), times(func(r row) time.Time { return r.EchoedAt }),
		times(func(r row) time.Time { return r.FreeUntil }),
		column(f.order, func(r row) *bool {
			if !chosen(r) {
				return nil
			}
			return &r.Marketing.OptedOut
		}),
		times(func(r row) time.Time { return r.Marketing.At }),
		column(f.order, func(r row) *string { return textOrNil(string(r.Marketing.Source)) }),
		column(f.order, func(r row) *int64 {
			if !chosen(r) {
				return nil
			}
			return &r.Marketing.Position
		}))
	f.writeItems(writes)
	f.rows, f.order, f.items = make(map[conversationKey]*conversationRow), nil, nil
}

func (f *conversationFold) writeItems(writes *pgx.Batch) {
	if len(f.items) == 0 {
		return
	}
	type item = conversationItem
	writes.Queue(`INSERT INTO conversation_item (sender, person, data_key, position, at, stream, revision)
		SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bigint[], $5::timestamptz[], $6::text[], $7::bigint[])
		ON CONFLICT DO NOTHING`,
		column(f.items, func(i item) string { return i.sender }),
		column(f.items, func(i item) []byte { return []byte(i.person) }),
		column(f.items, func(i item) string { return string(i.key) }),
		column(f.items, func(i item) int64 { return int64(i.position) }),
		column(f.items, func(i item) *time.Time { return timeOrNil(i.at) }),
		column(f.items, func(i item) string { return i.stream }),
		column(f.items, func(i item) int64 { return int64(i.revision) }))
}
