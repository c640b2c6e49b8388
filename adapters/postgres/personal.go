package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

// Vault seals what is personal in rows and opens it again. The keys are those of the
// events, so that a row is forgotten with them.
type Vault interface {
	// Fetch makes keys ready for OpenValue in one go.
	Fetch(ctx context.Context, keys []event.KeyID) error
	// SealValue gives the same bytes for the same value in the same place, and
	// nothing if the key is destroyed.
	SealValue(ctx context.Context, key event.KeyID, about string, plain []byte) ([]byte, error)
	// OpenValue fails with *event.ErasedError if the key is destroyed and with
	// event.ErrLocked if it is not at hand.
	OpenValue(ctx context.Context, key event.KeyID, about string, sealed []byte) ([]byte, error)
	// Blind is the keyed hash by which a value is looked up.
	Blind(kind, value string) []byte
	// KeysOf are the keys of a person.
	KeysOf(ctx context.Context, person string) ([]event.KeyID, error)
}

// The places that values of a row are bound to.
const (
	placePersonal = "message row"
	placeWamid    = "message wamid"
	placeDetails  = "message details"
)

func place(of string, id uuid.UUID) string { return of + "\n" + id.String() }

// personalRow is what a message's row holds sealed in one.
type personalRow struct {
	To             string          `json:"to"`
	IdempotencyKey string          `json:"idempotencyKey,omitempty"`
	ReplyTo        string          `json:"replyTo,omitempty"`
	Labels         []message.Label `json:"labels,omitempty"`
}

// sealed are the columns of a message's row with what is personal.
type sealed struct {
	key             event.KeyID
	personal        []byte
	idempotencyHash []byte
	labelHashes     [][]byte
	whatsAppID      []byte
	details         []byte
	wamids          []uuid.UUID
	events          int
}

// sealer seals the personal data of rows. Without a vault, or for an event in the
// clear, a row has none.
type sealer struct {
	ctx   context.Context //nolint:containedctx // it lives for one batch
	vault Vault
}

func (s sealer) seal(key event.KeyID, place string, plain []byte) ([]byte, error) {
	if s.vault == nil || key == "" || len(plain) == 0 {
		return nil, nil
	}
	out, err := s.vault.SealValue(s.ctx, key, place, plain)
	if err != nil {
		return nil, fmt.Errorf("seal a row: %w", err)
	}
	return out, nil
}

// queued fills the columns that Queued sets.
func (s sealer) queued(r event.Recorded, id uuid.UUID, p message.QueuedPersonal) (sealed, error) {
	c := sealed{key: r.Key}
	if p.To == "" || s.vault == nil {
		return c, nil
	}
	plain, err := json.Marshal(personalRow{To: p.To, IdempotencyKey: p.IdempotencyKey, ReplyTo: p.ReplyTo, Labels: p.Labels})
	if err != nil {
		return c, err
	}
	if c.personal, err = s.seal(r.Key, place(placePersonal, id), plain); err != nil {
		return c, err
	}
	if p.IdempotencyKey != "" {
		c.idempotencyHash = s.vault.Blind("idempotency key", p.IdempotencyKey)
	}
	for _, l := range p.Labels {
		c.labelHashes = append(c.labelHashes, labelHash(s.vault, l))
	}
	return c, nil
}

func labelHash(v Vault, l message.Label) []byte { return v.Blind("label", l.Name+"\x00"+l.Value) }

// apply takes up what an event says. The row has one key, that of Queued; an event
// may have another of the same person.
func (s sealer) apply(c *sealed, r event.Recorded, id uuid.UUID, e message.Event) (err error) {
	if r.Key != "" {
		c.events++
	}
	switch e := e.(type) {
	case message.Sent:
		wamid := e.Personal.WhatsAppID
		if wamid != "" {
			c.wamids = append(c.wamids, wamidHash(wamid))
		}
		c.whatsAppID, err = s.seal(c.key, place(placeWamid, id), []byte(wamid))
	case message.Failed:
		c.details, err = s.seal(c.key, place(placeDetails, id), []byte(e.Personal.Details))
	case message.DeadLettered:
		c.details, err = s.seal(c.key, place(placeDetails, id), []byte(e.Personal.Details))
	}
	return err
}

// openRows completes messages by what is sealed in their rows. What is erased, or
// cannot be read at the moment, stays nil.
func openRows(ctx context.Context, v Vault, rows []storedMessage) ([]query.Message, error) {
	list := make([]query.Message, len(rows))
	var keys []event.KeyID
	for i, row := range rows {
		list[i] = row.Message
		if row.personal != nil || row.whatsAppID != nil || row.details != nil {
			keys = append(keys, row.key)
		}
	}
	if v == nil || len(keys) == 0 {
		return list, nil
	}
	if err := v.Fetch(ctx, keys); err != nil && !errors.Is(err, event.ErrLocked) {
		return nil, err
	}
	for i, row := range rows {
		if err := openRow(ctx, v, row.sealed, &list[i]); err != nil {
			return nil, fmt.Errorf("open the row of message %s: %w", row.ID, err)
		}
	}
	return list, nil
}

func openRow(ctx context.Context, v Vault, c sealed, m *query.Message) error {
	open := func(of string, value []byte) ([]byte, error) {
		if value == nil {
			return nil, nil
		}
		plain, err := v.OpenValue(ctx, c.key, place(of, m.ID), value)
		var erased *event.ErasedError
		if errors.As(err, &erased) || errors.Is(err, event.ErrLocked) {
			return nil, nil
		}
		return plain, err
	}
	plain, err := open(placePersonal, c.personal)
	if err != nil {
		return err
	}
	if plain != nil {
		var p personalRow
		if err := json.Unmarshal(plain, &p); err != nil {
			return err
		}
		m.To, m.IdempotencyKey, m.ReplyTo, m.Labels = textOrNil(p.To), textOrNil(p.IdempotencyKey), textOrNil(p.ReplyTo), p.Labels
	}
	wamid, err := open(placeWamid, c.whatsAppID)
	if err != nil {
		return err
	}
	m.WhatsAppID = textOrNil(string(wamid))
	details, err := open(placeDetails, c.details)
	if err == nil && m.Failure != nil {
		m.Failure.Details = string(details)
	}
	return err
}

// erase blanks the rows of messages whose keys are destroyed. What is sealed in them
// cannot be read any more; the hashes go here.
func erase(writes *pgx.Batch, r event.Recorded, e event.PersonalErased) {
	writes.Queue(`DELETE FROM message_wamid WHERE wamid_hash IN
		(SELECT unnest(wamid_hashes) FROM message WHERE data_key = ANY ($1))`, e.Keys)
	writes.Queue(`DELETE FROM message_label l USING message m WHERE m.data_key = ANY ($1)
		AND l.label_hash = ANY (m.label_hashes) AND l.queued_position = m.queued_position`, e.Keys)
	writes.Queue(`UPDATE message_exception x SET label_hashes = NULL FROM message m
		WHERE m.data_key = ANY ($1) AND m.id = x.message_id AND x.label_hashes IS NOT NULL`, e.Keys)
	writes.Queue(`UPDATE message SET personal = NULL, idempotency_hash = NULL, label_hashes = NULL, whatsapp_id = NULL,
			failure_details = NULL, wamid_hashes = NULL, erased_at = $2
		WHERE data_key = ANY ($1) AND erased_at IS NULL`, e.Keys, r.Meta.RecordedAt)
}

// personalFold counts the events outside of messages that each key has sealed.
func personalFold() fold {
	return fold{
		name:   "personal events",
		tables: []string{"personal_event"},
		types:  typeNames(inbound.Types()),
		apply: func(_ context.Context, _ pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.Arrival, error) {
			var keys []string
			for _, r := range events {
				if r.Key != "" {
					keys = append(keys, string(r.Key))
				}
			}
			if len(keys) > 0 {
				writes.Queue(`INSERT INTO personal_event AS p (data_key, count)
					SELECT key, count(*) FROM unnest($1::text[]) AS u (key) GROUP BY key
					ON CONFLICT (data_key) DO UPDATE SET count = p.count + excluded.count`, keys)
			}
			return nil, nil
		},
	}
}

// CountSealed answers how many messages, and how many events in all, these keys have
// sealed, as far as the read model has come.
func (r *ReadModel) CountSealed(ctx context.Context, keys []event.KeyID) (messages, events int64, err error) {
	err = r.pool.QueryRow(ctx, `SELECT
			(SELECT count(*) FROM message WHERE data_key = ANY ($1)),
			(SELECT coalesce(sum(personal_events), 0) FROM message WHERE data_key = ANY ($1))
			+ (SELECT coalesce(sum(count), 0) FROM personal_event WHERE data_key = ANY ($1))`, keys).Scan(&messages, &events)
	if err != nil {
		return 0, 0, fmt.Errorf("count what data keys have sealed: %w", err)
	}
	return messages, events, nil
}

// OpenKeys are those of the keys that a message needs which may still be sent.
func (r *ReadModel) OpenKeys(ctx context.Context, keys []event.KeyID) ([]event.KeyID, error) {
	open := []message.Status{message.StatusQueued, message.StatusSending, message.StatusRetrying, message.StatusAmbiguous}
	found, err := collect[event.KeyID](ctx, r.pool, `SELECT DISTINCT data_key FROM message
		WHERE data_key = ANY ($1) AND status = ANY ($2)`, keys, open)
	if err != nil {
		return nil, fmt.Errorf("find the data keys of open messages: %w", err)
	}
	return found, nil
}

// ViewsPosition answers how far the read models of messages have come.
func (r *ReadModel) ViewsPosition(ctx context.Context) (event.Position, error) {
	var p event.Position
	if err := r.pool.QueryRow(ctx, `SELECT position FROM projection WHERE name = $1`, Views).Scan(&p); err != nil {
		return 0, fmt.Errorf("read the position of the read models: %w", err)
	}
	return p, nil
}
