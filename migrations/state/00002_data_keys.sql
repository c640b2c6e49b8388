-- +goose Up

-- Secrets of the whole installation, wrapped by its secret key. "index" is the key for
-- the hashes by which names and numbers are looked up.
CREATE TABLE waypost_vault.installation_key (
    name    text PRIMARY KEY,
    wrapped bytea NOT NULL
);

-- The seeds of the newest data keys, one for each process that seals. A key that is not
-- in data_key yet can be derived again as long as its seed is in this table, so a seed
-- is deleted in the transaction that stores its last keys.
CREATE TABLE waypost_vault.key_seed (
    id            bytea PRIMARY KEY, -- 8 bytes
    wrapped       bytea NOT NULL,
    -- The end of the log when the seed was created: no earlier event is sealed under
    -- its keys.
    from_position bigint NOT NULL,
    made_at       timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL, -- when its process was last alive
    retiring      boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- The keys that personal data is sealed under. A destroyed key leaves its ID, so that
-- erased data can be distinguished from missing keys.
CREATE TABLE waypost_vault.data_key (
    id        bytea PRIMARY KEY, -- 8 bytes of its seed, 4 of its number
    wrapped   bytea,
    made_at   timestamptz NOT NULL,
    erased_at timestamptz,
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
);

CREATE INDEX data_key_made_at ON waypost_vault.data_key (made_at) WHERE erased_at IS NULL;

-- The owners of the data that a key seals, by a keyed hash of number or user ID.
CREATE TABLE waypost_vault.data_key_owner (
    owner  bytea NOT NULL, -- 16 bytes
    key_id bytea NOT NULL,
    -- 0: only this owner's; 1: shared with others; 2: only this owner's, under another
    -- name.
    kind   smallint NOT NULL,
    PRIMARY KEY (owner, key_id)
);

CREATE INDEX data_key_owner_key ON waypost_vault.data_key_owner (key_id);

-- +goose Down

DROP TABLE waypost_vault.data_key_owner, waypost_vault.data_key, waypost_vault.key_seed, waypost_vault.installation_key;
