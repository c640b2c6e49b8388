package postgres

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

// A Vault seals and opens personal data in rows. The keys are those of the events, so that
// erasing them erases the row.
type Vault interface {
	// Fetch loads keys for OpenValue in one call.
	Fetch(ctx context.Context, keys []event.KeyID) error
	// SealValue returns the same bytes for the same value in the same place, and nothing if
	// the key is destroyed.
	SealValue(ctx context.Context, key event.KeyID, about string, plain []byte) ([]byte, error)
	// OpenValue returns *event.ErasedError if the key is destroyed and event.ErrLocked if
	// it is not available.
	OpenValue(ctx context.Context, key event.KeyID, about string, sealed []byte) ([]byte, error)
	// BlindIndex returns the keyed hash by which a value is looked up.
	BlindIndex(kind, value string) []byte
	// KeysOf returns the keys of a name of a person, made before a time if it is not zero.
	KeysOf(ctx context.Context, name string, until time.Time) ([]event.KeyID, error)
}

// The places that sealed values of a row are bound to.
const (
	placePersonal = "message row"
	placeWamid    = "message wamid"
	placeDetails  = "message details"
)

func place(of string, id uuid.UUID) string { return of + "\n" + id.String() }

// personalRow is the personal data that a message's row stores in one sealed value.
type personalRow struct {
	To             string          `json:"to,omitempty"`
	ToUserID       string          `json:"toUserId,omitempty"`
	IdempotencyKey string          `json:"idempotencyKey,omitempty"`
	ReplyTo        string          `json:"replyTo,omitempty"`
	Labels         []message.Label `json:"labels,omitempty"`
}

// sealed has the columns of a message's row with personal data.
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

// sealer seals the personal data of rows. Without a vault, or for an event that isn't
// sealed, a row has none.
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

// queued returns the columns that Queued sets.
func (s sealer) queued(r event.Recorded, id uuid.UUID, p message.QueuedPersonal) (sealed, error) {
	c := sealed{key: r.Key}
	if p.To == "" && p.ToUserID == "" || s.vault == nil {
		return c, nil
	}
	plain, err := json.Marshal(personalRow{To: p.To, ToUserID: p.ToUserID, IdempotencyKey: p.IdempotencyKey, ReplyTo: p.ReplyTo, Labels: p.Labels})
	if err != nil {
		return c, err
	}
	if c.personal, err = s.seal(r.Key, place(placePersonal, id), plain); err != nil {
		return c, err
	}
	if p.IdempotencyKey != "" {
		c.idempotencyHash = s.vault.BlindIndex("idempotency key", p.IdempotencyKey)
	}
	for _, l := range p.Labels {
		c.labelHashes = append(c.labelHashes, labelHash(s.vault, l))
	}
	return c, nil
}

func labelHash(v Vault, l message.Label) []byte { return v.BlindIndex("label", l.Name+"\x00"+l.Value) }

// LabelIndex returns what identifies a label in the work list.
func LabelIndex(v Vault, l message.Label) string { return hex.EncodeToString(labelHash(v, l)) }

// apply updates the columns with an event. A row has one key, the key of Queued; an event
// can have another key of the same person.
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

// openRows adds the personal data that is sealed in rows to messages. Data that was erased,
// or can't be opened at the moment, stays nil.
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
		m.To, m.ToUserID = textOrNil(p.To), textOrNil(p.ToUserID)
		m.IdempotencyKey, m.ReplyTo, m.Labels = textOrNil(p.IdempotencyKey), textOrNil(p.ReplyTo), p.Labels
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

// erase clears the rows of messages whose keys are destroyed. Sealed values can no longer be
// opened; this removes the hashes.
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

// personalFold returns the projection that counts, for each key, the sealed events outside
// of messages.
func personalFold() projection {
	return projection{
		name:   "personal events",
		tables: []string{"personal_event"},
		types:  slices.Concat(typeNames(inbound.Types()), typeNames(identity.Types()), typeNames(conversation.Types())),
		apply: func(_ context.Context, _ pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.NewWork, error) {
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

// CountSealed returns the number of messages, and of events in total, that these keys have
// sealed, according to the read model.
func (r *ReadModel) CountSealed(ctx context.Context, keys []event.KeyID) (messages, events int64, err error) {
	err = r.pool.QueryRow(ctx, `SELECT
			(SELECT count(*) FROM message WHERE data_key = ANY ($1)),
			(SELECT coalesce(sum(personal_events), 0) FROM message WHERE data_key = ANY ($1))
			+ (SELECT coalesce(sum(count), 0) FROM personal_event WHERE data_key = ANY ($1))`, keys).Scan(&messages, &events)
	if err != nil {
		return 0, 0, fmt.Errorf("count values sealed under data keys: %w", err)
	}
	return messages, events, nil
}

// OpenKeys returns those of the keys that a message needs that can still be sent. It returns
// domain.Unavailable if the read models are of another log than logID, because they know
// nothing of the messages of this one.
func (r *ReadModel) OpenKeys(ctx context.Context, logID uuid.UUID, keys []event.KeyID) ([]event.KeyID, error) {
	open := []message.Status{message.StatusQueued, message.StatusSending, message.StatusRetrying, message.StatusAmbiguous}
	var found []event.KeyID
	var same bool
	err := r.pool.QueryRow(ctx, `SELECT ARRAY(SELECT DISTINCT data_key FROM message WHERE data_key = ANY ($1) AND status = ANY ($2)),
			EXISTS (SELECT FROM projection WHERE name = $3 AND log_id = $4)`, keys, open, Views, logID.String()).Scan(&found, &same)
	if err != nil {
		return nil, fmt.Errorf("find the data keys of open messages: %w", err)
	}
	if !same {
		return nil, domain.Unavailable("the read models are of another event log and have to be rebuilt first")
	}
	return found, nil
}

// ParkedMessages returns the streams of messages that the read models of queries omit.
func (r *ReadModel) ParkedMessages(ctx context.Context) ([]string, error) {
	streams, err := collect[string](ctx, r.pool, `SELECT stream FROM parked_event WHERE projection = $1 AND starts_with(stream, $2)`,
		Views, event.MessageStreams)
	if err != nil {
		return nil, fmt.Errorf("find the messages that the read models omit: %w", err)
	}
	return streams, nil
}

// Unsent returns the messages sealed under the keys that are still to be sent, and have
// no call in flight: at most limit, in the order of their IDs, after one of them.
func (r *ReadModel) Unsent(ctx context.Context, keys []event.KeyID, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	found, err := collect[uuid.UUID](ctx, r.pool, `SELECT id FROM message
		WHERE data_key = ANY ($1) AND status = ANY ($2) AND id > $3 ORDER BY id LIMIT $4`,
		keys, []message.Status{message.StatusQueued, message.StatusRetrying}, after, limit)
	if err != nil {
		return nil, fmt.Errorf("find the messages of data keys that are still to be sent: %w", err)
	}
	return found, nil
}

// ViewsPosition returns the position that the read models of messages have reached.
func (r *ReadModel) ViewsPosition(ctx context.Context) (event.Position, error) {
	var p event.Position
	if err := r.pool.QueryRow(ctx, `SELECT position FROM projection WHERE name = $1`, Views).Scan(&p); err != nil {
		return 0, fmt.Errorf("read the position of the read models: %w", err)
	}
	return p, nil
}
