package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// ReadModel runs queries on the read models.
type ReadModel struct {
	pool  reads
	vault Vault
}

// reads is the part of a pool that queries need: *pgxpool.Pool or Queries.
type reads interface {
	querier
	batchSender
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
}

// NewReadModel returns the queries on pool's read model.
func NewReadModel(pool *pgxpool.Pool) *ReadModel { return &ReadModel{pool: pool} }

// NewQueryModel is NewReadModel for queries of callers.
func NewQueryModel(q *Queries) *ReadModel { return &ReadModel{pool: q} }

// WithVault returns the read model with personal data. Without a vault, messages are listed
// without it and can't be found by it.
func (r *ReadModel) WithVault(v Vault) *ReadModel { return &ReadModel{pool: r.pool, vault: v} }

// Messages returns a page of the messages that match the filter, newest first.
func (r *ReadModel) Messages(ctx context.Context, f query.MessageFilter, p query.Page) (query.MessagePage, error) {
	c, err := r.messageConditions(ctx, f)
	if err != nil {
		return query.MessagePage{}, err
	}
	list, more, err := r.page(ctx, c, p)
	if err != nil {
		return query.MessagePage{}, fmt.Errorf("list messages: %w", err)
	}
	return query.MessagePage{Messages: list, HasNextPage: more}, nil
}

// MessagesByID returns the known messages with these IDs, in no order.
func (r *ReadModel) MessagesByID(ctx context.Context, ids []uuid.UUID) ([]query.Message, error) {
	rows, err := selectMessages(ctx, r.pool, `WHERE m.id = ANY ($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return openRows(ctx, r.vault, rows)
}

// MessageCounts returns how many messages match the filter, by status, without statuses that
// have none.
func (r *ReadModel) MessageCounts(ctx context.Context, f query.MessageFilter) ([]query.StatusCount, error) {
	var rows pgx.Rows
	var err error
	if bySender, ok := onlySender(f); ok {
		rows, err = r.pool.Query(ctx, `SELECT counter, sum(count)::bigint FROM message_count
			WHERE ($1::text[] IS NULL OR sender = ANY ($1)) AND counter <> ALL ($2) GROUP BY counter HAVING sum(count) > 0`,
			bySender, []string{countQueued, countSentTwice, countOverdue})
	} else {
		var c conditions
		if c, err = r.messageConditions(ctx, f); err != nil {
			return nil, err
		}
		rows, err = r.pool.Query(ctx, `SELECT m.status, count(*) FROM message m `+c.where()+` GROUP BY m.status`, c.args...)
	}
	if err != nil {
		return nil, fmt.Errorf("count messages: %w", err)
	}
	found := make(map[message.Status]int64)
	var status message.Status
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&status, &n}, func() error {
		found[status] = n
		return nil
	}); err != nil {
		return nil, fmt.Errorf("count messages: %w", err)
	}
	var list []query.StatusCount
	for _, s := range message.Statuses() {
		if n := found[s]; n > 0 && (len(f.Status) == 0 || slices.Contains(f.Status, s)) {
			list = append(list, query.StatusCount{Status: s, Count: n})
		}
	}
	return list, nil
}

// onlySender returns the senders that the filter names, or nil for all, if it restricts
// nothing else but the status. The ledger's counts then have the result.
func onlySender(f query.MessageFilter) ([]string, bool) {
	senders := f.SenderIDs
	if f.SenderID != nil {
		if senders != nil && !slices.Contains(senders, *f.SenderID) {
			return []string{}, true
		}
		senders = []string{*f.SenderID}
	}
	restricted := f.To != nil || f.ToUserID != nil || f.IdempotencyKey != nil || f.WhatsAppID != nil || len(f.Labels) > 0 || f.Type != nil ||
		f.Priority != nil || f.Template != nil || f.ErrorCategory != nil || f.ErrorCode != nil ||
		f.QueuedAfter != nil || f.QueuedBefore != nil || f.Overdue != nil
	return senders, !restricted
}

// MessageByWhatsAppID returns the message and the call that WhatsApp gave this ID, or false
// if none is known yet.
func (r *ReadModel) MessageByWhatsAppID(ctx context.Context, whatsAppID string) (query.MessageCall, bool, error) {
	var found query.MessageCall
	err := r.pool.QueryRow(ctx, `SELECT message_id, call FROM message_wamid WHERE wamid_hash = $1`, wamidHash(whatsAppID)).
		Scan(&found.MessageID, &found.Call)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, false, nil
	}
	if err != nil {
		return found, false, fmt.Errorf("find a message by its whatsapp id: %w", err)
	}
	return found, true, nil
}

// MessagesOf returns the messages that WhatsApp gave these IDs. Those that are not
// known yet are missing from the result.
func (r *ReadModel) MessagesOf(ctx context.Context, whatsAppIDs []string) (map[string]uuid.UUID, error) {
	hashes := make([]uuid.UUID, len(whatsAppIDs))
	for i, id := range whatsAppIDs {
		hashes[i] = wamidHash(id)
	}
	rows, err := r.pool.Query(ctx, `SELECT asked.n - 1, m.message_id FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (wamid_hash, n)
		JOIN message_wamid m USING (wamid_hash)`, hashes)
	if err != nil {
		return nil, fmt.Errorf("find messages by their whatsapp ids: %w", err)
	}
	found := make(map[string]uuid.UUID)
	var n int
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&n, &id}, func() error {
		found[whatsAppIDs[n]] = id
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find messages by their whatsapp ids: %w", err)
	}
	return found, nil
}

// DeadLetters returns a page of the dead letters that match the filter, newest first, and
// their number by category.
func (r *ReadModel) DeadLetters(ctx context.Context, f query.DeadLetterFilter, p query.Page) (query.DeadLetterPage, error) {
	var page query.DeadLetterPage
	c := r.deadLetterConditions(f)
	// One snapshot, so that the counts and the page match.
	err := pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT coalesce(x.error_category, $`+strconv.Itoa(len(c.args)+1)+`), count(*)
			FROM message_exception x WHERE `+strings.Join(c.parts, ` AND `)+` GROUP BY 1 ORDER BY 2 DESC, 1`,
			append(slices.Clone(c.args), string(message.CategoryUnknown))...)
		if err != nil {
			return err
		}
		page.ByCategory, err = pgx.CollectRows(rows, pgx.RowToStructByPos[query.CategoryCount])
		if err != nil {
			return err
		}
		for _, n := range page.ByCategory {
			page.TotalCount += n.Count
		}
		page.DeadLetters, page.HasNextPage, err = r.pageOf(ctx, tx, c, p)
		return err
	})
	if err != nil {
		return query.DeadLetterPage{}, fmt.Errorf("list dead letters: %w", err)
	}
	return page, nil
}

func (r *ReadModel) page(ctx context.Context, c conditions, p query.Page) ([]query.Message, bool, error) {
	return r.pageOf(ctx, r.pool, c, p)
}

func (r *ReadModel) pageOf(ctx context.Context, q querier, c conditions, p query.Page) ([]query.Message, bool, error) {
	first := min(max(p.First, 0), query.MaxPage)
	if p.After > 0 {
		c.add(c.order()+` < $1`, p.After)
	}
	args := append(slices.Clone(c.args), first+1)
	limit := ` ORDER BY ` + c.order() + ` DESC LIMIT $` + strconv.Itoa(len(args))
	from := c.where()
	if len(c.each) > 0 {
		args = append(args, c.each)
		from = c.ofEach(len(args), limit)
	}
	rows, err := selectMessages(ctx, q, from+limit, args...)
	if err != nil {
		return nil, false, err
	}
	more := len(rows) > first
	list, err := openRows(ctx, r.vault, rows[:min(len(rows), first)])
	return list, more, err
}

// conditions are the parts of a WHERE clause over message m, and their arguments.
type conditions struct {
	vault Vault
	// by is the table that the list is read from, in its order. If empty, message.
	by    listed
	parts []string
	args  []any
	// each has statuses whose messages are listed separately and then merged, because no
	// index has those of several statuses in order. All parts are then about
	// message_exception.
	each []message.Status
}

// listed is a table that has some of the messages in their order.
type listed string

const (
	byException listed = "x"
	byLabel     listed = "l"
)

func (l listed) join() string {
	switch l {
	case byException:
		return joinException
	case byLabel:
		return `JOIN message_label l ON l.queued_position = m.queued_position`
	}
	return ""
}

// column is the column of the table that the list is read from, so that one of its indexes
// leads to the rows. From a join, the planner derives only equalities.
func (c *conditions) column(name string) string { return cmp.Or(string(c.by), "m") + "." + name }

func (c *conditions) order() string { return c.column("queued_position") }

// add adds a condition that refers to its one argument as $1.
func (c *conditions) add(sql string, arg any) {
	c.args = append(c.args, arg)
	c.parts = append(c.parts, strings.ReplaceAll(sql, "$1", "$"+strconv.Itoa(len(c.args))))
}

func (c *conditions) senders(one *string, allowed []string) {
	if one != nil {
		c.add(c.column("sender")+` = $1`, *one)
	}
	if allowed != nil {
		c.add(c.column("sender")+` = ANY ($1)`, allowed)
	}
}

func (c *conditions) label(l message.Label) {
	if c.vault == nil {
		c.add(`false AND $1::text IS NULL`, l.Name)
		return
	}
	if c.by == byException {
		c.add(`x.label_hashes @> ARRAY[$1::bytea]`, labelHash(c.vault, l))
		return
	}
	c.add(`EXISTS (SELECT FROM message_label b WHERE b.label_hash = $1 AND b.queued_position = `+c.order()+`)`, labelHash(c.vault, l))
}

// overdue selects the messages whose delivery is overdue, which are listed by exception, or
// the others.
func (c *conditions) overdue(is bool) {
	if is {
		c.parts = append(c.parts, `x.overdue_since IS NOT NULL`)
		return
	}
	c.parts = append(c.parts, `m.overdue_since IS NULL`)
}

// queued bounds the time at which messages were queued, and with it their positions. The
// positions are read first, so that the planner knows how many rows lie between them.
func (r *ReadModel) queued(ctx context.Context, c *conditions, after, before *time.Time) error {
	// Clocks differ by less than the thousand steps of message_time that are read.
	const bound = `SELECT %s FROM (SELECT * FROM message_time WHERE at %s $1::timestamptz ORDER BY at %s LIMIT 1000) t`
	add := func(condition string, at time.Time, position, of, order string, value time.Time) error {
		var found *int64
		if err := r.pool.QueryRow(ctx, fmt.Sprintf(bound, position, of, order), at).Scan(&found); err != nil {
			return fmt.Errorf("find a time in the log: %w", err)
		}
		if found == nil {
			c.parts = append(c.parts, `false`)
			return nil
		}
		c.add(`m.queued_at `+condition+` $1`, value)
		c.add(c.order()+` `+of+` $1`, *found)
		return nil
	}
	if after != nil {
		if err := add(">", after.Truncate(timeStep), "min(first_position)", ">=", "ASC", *after); err != nil {
			return err
		}
	}
	if before != nil {
		return add("<", *before, "max(last_position)", "<=", "DESC", *before)
	}
	return nil
}

func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return c.by.join()
	}
	return c.by.join() + ` WHERE ` + strings.Join(c.parts, ` AND `)
}

// ofEach joins the first messages of each status. The statuses are argument n.
func (c *conditions) ofEach(n int, limit string) string {
	return fmt.Sprintf(`JOIN (SELECT found.* FROM unnest($%d::text[]) AS s (status)
			CROSS JOIN LATERAL (SELECT * FROM message_exception x WHERE x.status = s.status AND %s%s) found) x
		ON x.message_id = m.id`, n, strings.Join(c.parts, ` AND `), limit)
}

// deadLetterConditions returns conditions about message_exception only.
func (r *ReadModel) deadLetterConditions(f query.DeadLetterFilter) conditions {
	c := conditions{vault: r.vault, by: byException}
	// The status is in the statement's text, so that any plan of it can use the indexes of
	// dead letters.
	c.parts = append(c.parts, `x.status = '`+string(message.StatusDeadLettered)+`'`)
	c.senders(f.SenderID, f.SenderIDs)
	if f.Category != nil {
		c.add(`x.error_category = $1`, *f.Category)
	}
	if f.Code != nil {
		c.add(`x.error_code = $1`, *f.Code)
	}
	if f.DeadLetteredAfter != nil {
		c.add(`x.dead_lettered_at > $1`, *f.DeadLetteredAfter)
	}
	if f.DeadLetteredBefore != nil {
		c.add(`x.dead_lettered_at < $1`, *f.DeadLetteredBefore)
	}
	if f.Label != nil {
		c.label(*f.Label)
	}
	return c
}

func (r *ReadModel) messageConditions(ctx context.Context, f query.MessageFilter) (conditions, error) {
	c := conditions{vault: r.vault}
	if len(f.Labels) > message.MaxLabels {
		return c, domain.Invalid("filter.labels", "has %d labels, at most %d are allowed", len(f.Labels), message.MaxLabels)
	}
	exceptions := len(f.Status) > 0 && !slices.ContainsFunc(f.Status, func(s message.Status) bool { return !exceptionalStatus(s) })
	labels := f.Labels
	switch {
	case exceptions || f.ErrorCategory != nil || f.ErrorCode != nil || f.Overdue != nil && *f.Overdue:
		c.by = byException
	case len(labels) > 0 && r.vault != nil:
		c.by = byLabel
		c.add(`l.label_hash = $1`, labelHash(r.vault, labels[0]))
		labels = labels[1:]
	}
	c.senders(f.SenderID, f.SenderIDs)
	if len(f.Status) > 0 {
		switch {
		case exceptions && len(f.Status) == 1:
			c.add(`x.status = $1`, f.Status[0]) // of one alone the index has the order
		case exceptions:
			c.add(`x.status = ANY ($1)`, f.Status)
			if ofExceptions(f) {
				c.each = f.Status
			}
		default:
			c.add(`m.status = ANY ($1)`, f.Status)
			if !slices.ContainsFunc(f.Status, func(s message.Status) bool { return !s.Open() }) {
				// These are few among millions, unless there is a backlog; the planner
				// knows.
				c.parts = append(c.parts, `EXISTS (SELECT FROM work_item w WHERE w.message_id = m.id)`)
			}
		}
	}
	if f.ErrorCategory != nil {
		c.add(`x.error_category = $1`, *f.ErrorCategory)
	}
	if f.ErrorCode != nil {
		c.add(`x.error_code = $1`, *f.ErrorCode)
	}
	if f.Overdue != nil {
		c.overdue(*f.Overdue)
	}
	for _, id := range []*string{f.To, f.ToUserID} {
		if id == nil {
			continue
		}
		keys, err := r.keysOfPerson(ctx, *id)
		if err != nil {
			return c, err
		}
		c.add(`m.data_key = ANY ($1)`, keys)
	}
	if f.IdempotencyKey != nil {
		hash := []byte{}
		if r.vault != nil {
			hash = r.vault.BlindIndex("idempotency key", *f.IdempotencyKey)
		}
		c.add(`m.idempotency_hash = $1`, hash)
	}
	if f.WhatsAppID != nil {
		c.add(`m.id = (SELECT w.message_id FROM message_wamid w WHERE w.wamid_hash = $1)`, wamidHash(*f.WhatsAppID))
	}
	for _, l := range labels {
		c.label(l)
	}
	if f.Type != nil {
		c.add(`m.kind = $1`, *f.Type)
	}
	if f.Priority != nil {
		c.add(`m.priority = $1`, f.Priority.Rank())
	}
	if f.Template != nil {
		c.add(`m.template = $1`, *f.Template)
	}
	return c, r.queued(ctx, &c, f.QueuedAfter, f.QueuedBefore)
}

// ofExceptions reports whether message_exception is sufficient for the filter.
func ofExceptions(f query.MessageFilter) bool {
	return f.To == nil && f.ToUserID == nil && f.IdempotencyKey == nil && f.WhatsAppID == nil && len(f.Labels) == 0 && f.Type == nil &&
		f.Priority == nil && f.Template == nil && f.QueuedAfter == nil && f.QueuedBefore == nil && (f.Overdue == nil || *f.Overdue)
}

const joinException = `JOIN message_exception x ON x.message_id = m.id`
