package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
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
		known[i] = merged(rows, p.Sender, persons[i], r.vault)
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

// conversationRows returns the rows of persons, by name.
func (r *ReadModel) conversationRows(ctx context.Context, of []work.Recipient, persons [][]identity.Name) (map[conversationName][]conversation.Conversation, error) {
	var senders []string
	var hashes [][]byte
	for i, p := range of {
		for _, n := range persons[i] {
			senders, hashes = append(senders, storableKey(p.Sender)), append(hashes, identityHash(r.vault, n.ID))
		}
	}
	rows, err := r.pool.Query(ctx, `SELECT c.sender, c.person, `+conversationColumns+`
		FROM (SELECT DISTINCT sender, person FROM unnest($1::text[], $2::bytea[]) AS u (sender, person)) u
		JOIN conversation c USING (sender, person)`, senders, hashes)
	if err != nil {
		return nil, fmt.Errorf("read conversations: %w", err)
	}
	found := make(map[conversationName][]conversation.Conversation)
	var senderID string
	var person []byte
	var c storedConversation
	_, err = pgx.ForEachRow(rows, append([]any{&senderID, &person}, c.columns()...), func() error {
		name := conversationName{senderID, string(person)}
		found[name] = append(found[name], c.conversation())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read conversations: %w", err)
	}
	return found, nil
}

// merged returns what the rows of a person say.
func merged(rows map[conversationName][]conversation.Conversation, senderID string, names []identity.Name, vault Vault) conversation.Conversation {
	var whole conversation.Conversation
	for _, n := range names {
		for _, c := range rows[conversationName{storableKey(senderID), string(identityHash(vault, n.ID))}] {
			if !n.Until.IsZero() {
				c = c.Before(n.Until)
			}
			whole = whole.Merge(c)
		}
	}
	return whole
}

const conversationColumns = `c.inbound_at, c.opened_at, c.refused_at, c.echoed_at, c.free_until,
	c.opted_out, c.choice_at, c.choice_source, c.choice_position`

// storedConversation is a row without its key.
type storedConversation struct {
	inboundAt, openedAt, refusedAt, echoedAt, freeUntil, choiceAt *time.Time
	optedOut                                                      *bool
	source                                                        *string
	position                                                      *int64
}

// columns are the values of conversationColumns, to scan into.
func (s *storedConversation) columns() []any {
	return []any{
		&s.inboundAt, &s.openedAt, &s.refusedAt, &s.echoedAt, &s.freeUntil, &s.optedOut, &s.choiceAt, &s.source, &s.position,
	}
}

func (s *storedConversation) conversation() conversation.Conversation {
	return conversation.Conversation{
		InboundAt: orZero(s.inboundAt), OpenedAt: orZero(s.openedAt), RefusedAt: orZero(s.refusedAt),
		EchoedAt: orZero(s.echoedAt), FreeUntil: orZero(s.freeUntil),
		Marketing: conversation.Marketing{
			OptedOut: orZero(s.optedOut), At: orZero(s.choiceAt), Source: conversation.Source(orZero(s.source)), Position: orZero(s.position),
		},
	}
}
