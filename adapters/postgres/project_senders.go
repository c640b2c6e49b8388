package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/sender"
)

// sendersFold returns the projection that fills the table of senders. They are few and
// rarely change, so each event updates the current state.
func sendersFold() projection {
	return projection{
		name:   "senders",
		tables: []string{"sender"},
		types:  typeNames(sender.Types(), sender.NumberClaimed{}.EventType()),
		apply:  applySenders,
	}
}

func applySenders(ctx context.Context, tx pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.NewWork, error) {
	states := make(map[string]sender.Sender)
	for _, r := range events {
		e, ok := r.Event.(sender.Event)
		if !ok {
			return nil, &dataError{fmt.Errorf("%s is not an event of a sender", r.Type)}
		}
		id := storableKey(strings.TrimPrefix(r.Stream, event.SenderStreams))
		state, loaded := states[r.Stream]
		if !loaded {
			var data []byte
			err := tx.QueryRow(ctx, `SELECT state FROM sender WHERE id = $1`, id).Scan(&data)
			if err == nil {
				err = json.Unmarshal(data, &state)
			}
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return nil, err
			}
		}
		state = state.Apply(sender.Record{Event: e, At: r.Meta.RecordedAt, By: r.Meta.Actor()})
		if !state.Registered() {
			return nil, &dataError{fmt.Errorf("%s of a sender that was not registered", r.Type)}
		}
		states[r.Stream] = state
		data, err := storableJSON(state)
		if err != nil {
			return nil, &dataError{err}
		}
		writes.Queue(`INSERT INTO sender (id, revision, position, state) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE
			SET revision = excluded.revision, position = excluded.position, state = excluded.state`,
			id, r.Revision, r.Position, data)
	}
	return nil, nil
}
