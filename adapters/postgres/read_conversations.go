package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/identity"
)

// Conversations implements work.Conversations. It takes three statements, however many
// recipients there are.
func (r *ReadModel) Conversations(ctx context.Context, of []work.Recipient) ([]conversation.Conversation, event.Position, error) {
	known := make([]conversation.Conversation, len(of))
	at, err := r.ViewsPosition(ctx) // first, so that what is read after it is not older
	if errors.Is(err, pgx.ErrNoRows) {
		return known, 0, nil // nothing was projected yet
	}
	if err != nil || r.vault == nil || len(of) == 0 {
		return known, at, err
	}
	ids := make([]string, len(of))
	for i, p := range of {
		ids[i] = p.To + p.ToUserID
	}
	persons, err := r.personsOf(ctx, ids)
	if err != nil {
		return nil, at, err
	}
	rows, err := r.conversationRows(ctx, of, persons)
	if err != nil {
		return nil, at, err
	}
	for i, p := range of {
		known[i] = r.merged(rows, p.Sender, persons[i]).Conversation
	}
	return known, at, nil
}

// personsOf returns the names of the persons who are known by the IDs.
func (r *ReadModel) personsOf(ctx context.Context, ids []string) ([][]identity.Name, error) {
	links, err := r.linksBetween(ctx, ids)
	if err != nil {
		return nil, err
	}
	// A person's names are found among the links that mention them, directly or not.
	mentions := make(map[string][]int, 2*len(links))
	for i, l := range links {
		for _, id := range l.All() {
			for _, notation := range identity.Notations(id) {
				mentions[notation] = append(mentions[notation], i)
			}
		}
	}
	persons := make([][]identity.Name, len(ids))
	for i, id := range ids {
		persons[i] = identity.PersonOf(linked(links, mentions, id), id)
	}
	return persons, nil
}

// linked returns the links of an ID, of every ID that these mention, and so on. mentions has the
// indexes of the links of each ID.
func linked(links []identity.Link, mentions map[string][]int, id string) []identity.Link {
	var found []identity.Link
	taken, asked := make(map[int]bool), make(map[string]bool)
	for waiting := identity.Notations(id); len(waiting) > 0; {
		next := waiting[0]
		waiting = waiting[1:]
		for _, i := range mentions[next] {
			if taken[i] {
				continue
			}
			taken[i] = true
			found = append(found, links[i])
			for _, other := range links[i].All() {
				for _, notation := range identity.Notations(other) {
					if !asked[notation] {
						asked[notation] = true
						waiting = append(waiting, notation)
					}
				}
			}
		}
	}
	return found
}

// conversationName is a name of a person of a sender, by its hash.
type conversationName struct{ sender, person string }

// storedConversation is a row.
type storedConversation struct {
	conversation.Conversation

	name        conversationName
	key         event.KeyID
	sealed      []byte // the ID
	position    event.Position
	lastInbound query.Place
}

// selectConversations reads rows of conversation, as c.
func (r *ReadModel) selectConversations(ctx context.Context, from string, args ...any) ([]storedConversation, error) {
	rows, err := r.pool.Query(ctx, `SELECT c.sender, c.person, c.data_key, c.name, c.position, c.inbound_stream, c.inbound_revision,
		c.inbound_at, c.opened_at, c.refused_at, c.echoed_at, c.free_until,
		c.opted_out, c.choice_at, c.choice_source, c.choice_position `+from, args...)
	if err != nil {
		return nil, fmt.Errorf("read conversations: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (storedConversation, error) {
		var s storedConversation
		var person []byte
		var inboundAt, openedAt, refusedAt, echoedAt, freeUntil, choiceAt *time.Time
		var optedOut *bool
		var stream, source *string
		var revision, choice *int64
		err := row.Scan(&s.name.sender, &person, &s.key, &s.sealed, &s.position, &stream, &revision,
			&inboundAt, &openedAt, &refusedAt, &echoedAt, &freeUntil, &optedOut, &choiceAt, &source, &choice)
		s.name.person = string(person)
		s.lastInbound = query.Place{Stream: orZero(stream), Revision: event.Revision(orZero(revision))}
		s.Conversation = conversation.Conversation{
			InboundAt: orZero(inboundAt), OpenedAt: orZero(openedAt), RefusedAt: orZero(refusedAt),
			EchoedAt: orZero(echoedAt), FreeUntil: orZero(freeUntil), Marketing: conversation.Marketing{
				OptedOut: orZero(optedOut), At: orZero(choiceAt), Source: conversation.Source(orZero(source)), Position: orZero(choice),
			},
		}
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read conversations: %w", err)
	}
	return list, nil
}

// conversationRows returns the rows of persons, by name.
func (r *ReadModel) conversationRows(
	ctx context.Context, of []work.Recipient, persons [][]identity.Name,
) (map[conversationName][]storedConversation, error) {
	var senders []string
	var hashes [][]byte
	for i, p := range of {
		for _, n := range persons[i] {
			senders, hashes = append(senders, storableKey(p.Sender)), append(hashes, identityHash(r.vault, n.ID))
		}
	}
	rows, err := r.selectConversations(ctx, `FROM (SELECT DISTINCT sender, person FROM unnest($1::text[], $2::bytea[]) AS u (sender, person)) u
		JOIN conversation c USING (sender, person)`, senders, hashes)
	if err != nil {
		return nil, err
	}
	found := make(map[conversationName][]storedConversation)
	for _, s := range rows {
		found[s.name] = append(found[s.name], s)
	}
	return found, nil
}

// merged returns what the rows of a person say. The number of a person can have passed to someone
// else, whose rows have only earlier facts of the person.
func (r *ReadModel) merged(rows map[conversationName][]storedConversation, senderID string, names []identity.Name) query.Conversation {
	whole := query.Conversation{SenderID: senderID}
	for i, n := range names {
		for _, s := range rows[conversationName{storableKey(senderID), string(identityHash(r.vault, n.ID))}] {
			if !n.Until.IsZero() {
				whole.Conversation = whole.Merge(s.Before(n.Until))
				continue
			}
			whole.Conversation = whole.Merge(s.Conversation)
			if s.lastInbound.Stream != "" && s.lastInbound.Revision >= whole.LastInbound.Revision {
				whole.LastInbound = s.lastInbound
			}
		}
		switch known := conversation.PersonOf(n.ID); {
		case !n.Until.IsZero():
		case whole.Person.Number == "" && known.Number != "":
			whole.Person.Number = known.Number
		case (whole.Person.UserID == "" || i == 0) && known.UserID != "" && !strings.Contains(known.UserID, ".ENT."):
			whole.Person.UserID = known.UserID
		}
	}
	return whole
}

// Conversation returns what is known about a sender and the person who has an ID.
func (r *ReadModel) Conversation(ctx context.Context, senderID, id string) (query.Conversation, error) {
	empty := query.Conversation{SenderID: senderID, Person: conversation.PersonOf(id)}
	if r.vault == nil {
		return empty, nil
	}
	persons, err := r.personsOf(ctx, []string{id})
	if err != nil {
		return empty, err
	}
	rows, err := r.conversationRows(ctx, []work.Recipient{{Sender: senderID, To: id}}, persons)
	if err != nil {
		return empty, err
	}
	return r.merged(rows, senderID, persons[0]), nil
}

// maxScanned bounds the rows that are read for a page, because few of them can match the filter.
const maxScanned = 5000

// ListConversations returns a page of conversations.
func (r *ReadModel) ListConversations(ctx context.Context, f query.ConversationFilter, p query.Page) (query.ConversationPage, error) {
	page := query.ConversationPage{End: p.After}
	if page.End == 0 {
		page.End = event.MaxPosition
	}
	if r.vault == nil {
		return page, nil
	}
	limit := 2*p.First + 1
	for scanned := 0; scanned < maxScanned; scanned += limit {
		rows, err := r.candidates(ctx, f, page.End, limit)
		if err != nil {
			return page, err
		}
		whole := wholePositions(rows, limit)
		full, err := r.addConversations(ctx, f, p.First, whole, &page)
		if err != nil || full {
			page.HasNextPage = full
			return page, err
		}
		if len(rows) < limit {
			return page, nil
		}
	}
	page.HasNextPage = true
	return page, nil
}

// wholePositions returns rows without the last ones if others with the same position can follow: an
// event can be about several people.
func wholePositions(rows []storedConversation, limit int) []storedConversation {
	n := len(rows)
	if n < limit || rows[0].position == rows[n-1].position {
		return rows
	}
	for rows[n-1].position == rows[len(rows)-1].position {
		n--
	}
	return rows[:n]
}

// isCandidate reports whether a row can be the one at whose place a conversation is listed: the
// latest of the person that can match the filter. The statement of candidates says the same. A row
// need not match both conditions: the person can have opted out under one ID and written under another.
func isCandidate(f query.ConversationFilter, c conversation.Conversation) bool {
	switch {
	case f.OptedOut != nil && *f.OptedOut:
		return c.Marketing.OptedOut
	case f.WindowOpen != nil && *f.WindowOpen:
		return c.OpenedAt.After(f.Now.Add(-conversation.Window))
	default:
		return true
	}
}

// candidates returns rows before a position.
func (r *ReadModel) candidates(ctx context.Context, f query.ConversationFilter, before event.Position, limit int) ([]storedConversation, error) {
	var since *time.Time
	condition := ``
	switch {
	case f.OptedOut != nil && *f.OptedOut:
		condition = ` AND c.opted_out` // apart, for the partial index
	case f.WindowOpen != nil && *f.WindowOpen:
		since = timeOrNil(f.Now.Add(-conversation.Window))
	}
	return r.selectConversations(ctx, `FROM conversation c WHERE c.position < $1 AND ($2::text IS NULL OR c.sender = $2)
		AND ($3::text[] IS NULL OR c.sender = ANY ($3)) AND ($4::timestamptz IS NULL OR c.opened_at > $4)`+condition+`
		ORDER BY c.position DESC LIMIT $5`, before, f.SenderID, f.SenderIDs, since, limit)
}

// addConversations adds the conversations of rows to a page. It returns true if the page is full
// and another conversation follows.
func (r *ReadModel) addConversations(
	ctx context.Context, f query.ConversationFilter, first int, rows []storedConversation, page *query.ConversationPage,
) (full bool, err error) {
	of, err := r.openNames(ctx, rows)
	if err != nil {
		return false, err
	}
	ids := make([]string, len(of))
	for i, p := range of {
		ids[i] = p.To
	}
	persons, err := r.personsOf(ctx, ids)
	if err != nil {
		return false, err
	}
	known, err := r.conversationRows(ctx, of, persons)
	if err != nil {
		return false, err
	}
	for i, row := range rows {
		if ids[i] != "" && !r.listedBefore(f, known, of[i].Sender, persons[i], row) {
			c := r.merged(known, of[i].Sender, persons[i])
			c.Position = row.position
			if f.Matches(c.Conversation) {
				if len(page.Conversations) >= first && row.position != page.End {
					return true, nil
				}
				page.Conversations = append(page.Conversations, c)
			}
		}
		page.End = row.position
	}
	return false, nil
}

// listedBefore reports whether a person is listed at an earlier place than that of a row, because
// another of their rows has later news.
func (r *ReadModel) listedBefore(
	f query.ConversationFilter, known map[conversationName][]storedConversation, senderID string, names []identity.Name, row storedConversation,
) bool {
	for _, n := range names {
		if !n.Until.IsZero() {
			continue
		}
		for _, s := range known[conversationName{senderID, string(identityHash(r.vault, n.ID))}] {
			later := cmp.Or(cmp.Compare(s.position, row.position), cmp.Compare(s.name.person, row.name.person), cmp.Compare(s.key, row.key)) > 0
			if later && isCandidate(f, s.Conversation) {
				return true
			}
		}
	}
	return false
}

// openNames returns the persons that rows are about. A person who has been erased since has no ID.
func (r *ReadModel) openNames(ctx context.Context, rows []storedConversation) ([]work.Recipient, error) {
	keys := make([]event.KeyID, len(rows))
	for i, s := range rows {
		keys[i] = s.key
	}
	if err := r.vault.Fetch(ctx, keys); err != nil {
		return nil, fmt.Errorf("open conversations: %w", err)
	}
	of := make([]work.Recipient, len(rows))
	for i, s := range rows {
		of[i].Sender = s.name.sender
		plain, err := r.vault.OpenValue(ctx, s.key, placeOfConversation(s.name.sender, []byte(s.name.person)), s.sealed)
		var erased *event.ErasedError
		switch {
		case err == nil:
			of[i].To = string(plain)
		case !errors.As(err, &erased):
			return nil, fmt.Errorf("open conversations: %w", err)
		}
	}
	return of, nil
}

// ConversationItems returns a page of the messages of a sender and the person who has an ID.
func (r *ReadModel) ConversationItems(ctx context.Context, senderID, id string, p query.Page) (query.ConversationItems, error) {
	var page query.ConversationItems
	if r.vault == nil {
		return page, nil
	}
	hashes, untils, keys, err := r.namesAndKeys(ctx, id)
	if err != nil {
		return page, err
	}
	before := p.After
	if before == 0 {
		before = event.MaxPosition
	}
	rows, err := r.pool.Query(ctx, `
		(SELECT DISTINCT i.position, NULL::uuid, i.stream, i.revision FROM unnest($2::bytea[], $3::timestamptz[]) AS u (person, until)
			CROSS JOIN LATERAL (SELECT position, stream, revision FROM conversation_item
				WHERE sender = $1 AND person = u.person AND position < $5 AND (u.until IS NULL OR at < u.until)
				ORDER BY position DESC LIMIT $6) i)
		UNION ALL
		(SELECT queued_position, id, '', 0 FROM message WHERE sender = $1 AND data_key = ANY ($4) AND queued_position < $5
			ORDER BY queued_position DESC LIMIT $6)
		ORDER BY 1 DESC LIMIT $6`, storableKey(senderID), hashes, untils, keys, before, p.First+1)
	if err != nil {
		return page, fmt.Errorf("read the messages of a conversation: %w", err)
	}
	page.Items, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (i query.ConversationItem, err error) {
		var message *uuid.UUID
		err = row.Scan(&i.Position, &message, &i.Place.Stream, &i.Place.Revision)
		i.MessageID = orZero(message)
		return i, err
	})
	if err != nil {
		return page, fmt.Errorf("read the messages of a conversation: %w", err)
	}
	if page.HasNextPage = len(page.Items) > p.First; page.HasNextPage {
		page.Items = page.Items[:p.First]
	}
	return page, nil
}

// namesAndKeys returns the hashes of a person's names, the times at which they passed to someone
// else, and the person's data keys.
func (r *ReadModel) namesAndKeys(ctx context.Context, id string) (hashes [][]byte, untils []*time.Time, keys []event.KeyID, err error) {
	persons, err := r.personsOf(ctx, []string{id})
	if err != nil {
		return nil, nil, nil, err
	}
	for _, n := range persons[0] {
		hashes, untils = append(hashes, identityHash(r.vault, n.ID)), append(untils, timeOrNil(n.Until))
		more, err := r.vault.KeysOf(ctx, n.ID, n.Until)
		if err != nil {
			return nil, nil, nil, err
		}
		keys = append(keys, more...)
	}
	return hashes, untils, keys, nil
}

// LastSent returns when WhatsApp last accepted a message of a sender to the person who has an ID,
// or zero.
func (r *ReadModel) LastSent(ctx context.Context, senderID, id string) (time.Time, error) {
	if r.vault == nil {
		return time.Time{}, nil
	}
	_, _, keys, err := r.namesAndKeys(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	var at *time.Time
	if err := r.pool.QueryRow(ctx, `SELECT max(sent_at) FROM message WHERE data_key = ANY ($1) AND sender = $2`,
		keys, storableKey(senderID)).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read when a person was last sent a message: %w", err)
	}
	return orZero(at), nil
}
