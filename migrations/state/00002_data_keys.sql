-- +goose Up

-- Secrets of the installation as a whole, wrapped by its secret key. "index" is
-- what names and numbers are hashed under wherever they are looked up by.
CREATE TABLE waypost_vault.installation_key (
    name    text PRIMARY KEY,
    wrapped bytea NOT NULL
);

-- What the newest data keys are derived from: one seed for each process that seals.
-- A key that isn't in data_key yet can be derived again for as long as its seed
-- stands here, so a seed is deleted in the transaction that stores its last keys.
CREATE TABLE waypost_vault.key_seed (
    id            bytea PRIMARY KEY, -- 8 bytes
    wrapped       bytea NOT NULL,
    -- The end of the log when it was made: no event before is sealed under its keys.
    from_position bigint NOT NULL,
    made_at       timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL, -- its process was alive
    retiring      boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- The keys that personal data are sealed under. A destroyed one leaves its id, so
-- that what is erased can be told from what is missing.
CREATE TABLE waypost_vault.data_key (
    id        bytea PRIMARY KEY, -- 8 bytes of its seed, 4 of its number
    wrapped   bytea,
    made_at   timestamptz NOT NULL,
    erased_at timestamptz,
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
);

CREATE INDEX data_key_made_at ON waypost_vault.data_key (made_at) WHERE erased_at IS NULL;

-- Whose data a key seals, by a keyed hash of number or user id.
CREATE TABLE waypost_vault.data_key_owner (
    owner  bytea NOT NULL, -- 16 bytes
    key_id bytea NOT NULL,
    -- 0: theirs alone; 1: shared with others; 2: theirs alone, under another name.
    kind   smallint NOT NULL,
    PRIMARY KEY (owner, key_id)
);

CREATE INDEX data_key_owner_key ON waypost_vault.data_key_owner (key_id);

-- +goose Down

DROP TABLE waypost_vault.data_key_owner, waypost_vault.data_key, waypost_vault.key_seed, waypost_vault.installation_key;
