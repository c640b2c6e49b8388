package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/identity"
)

const placeNames = "identity link"

// identitiesFold returns the projection that stores the links between the IDs of people. A
// link whose key is destroyed has no row, whether it was before or is after the rebuild.
func identitiesFold(vault Vault) projection {
	return projection{
		name:   "identities",
		tables: []string{"identity_link", "identity_name"},
		types:  append(typeNames(identity.Types()), event.PersonalErased{}.EventType()),
		apply: func(ctx context.Context, _ pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.NewWork, error) {
			for _, r := range events {
				switch e := r.Event.(type) {
				case identity.IdentityLinked:
					if err := writeLink(sealer{ctx, vault}, r, e, writes); err != nil {
						return nil, err
					}
				case event.PersonalErased:
					writes.Queue(`DELETE FROM identity_name n USING identity_link l
						WHERE l.data_key = ANY ($1) AND n.position = l.position`, e.Keys)
					writes.Queue(`DELETE FROM identity_link WHERE data_key = ANY ($1)`, e.Keys)
				}
			}
			return nil, nil
		},
	}
}

func writeLink(seal sealer, r event.Recorded, e identity.IdentityLinked, writes *pgx.Batch) error {
	ids := e.Personal.All()
	if seal.vault == nil || len(ids) == 0 {
		return nil
	}
	plain, err := json.Marshal(e.Personal)
	if err != nil {
		return &dataError{err}
	}
	sealed, err := seal.seal(r.Key, placeOfLink(r.Position), plain)
	if err != nil || sealed == nil {
		return err
	}
	writes.Queue(`INSERT INTO identity_link (position, account, at, data_key, names) VALUES ($1, $2, $3, $4, $5)`,
		r.Position, e.BusinessAccountID, e.At, r.Key, sealed)
	for _, id := range ids {
		writes.Queue(`INSERT INTO identity_name (name, position) VALUES ($1, $2)`, identityHash(seal.vault, id), r.Position)
	}
	return nil
}

func placeOfLink(at event.Position) string { return fmt.Sprintf("%s\n%d", placeNames, at) }

func identityHash(v Vault, id string) []byte { return v.BlindIndex("identity", id) }
