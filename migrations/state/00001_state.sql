-- +goose Up

CREATE SCHEMA IF NOT EXISTS waypost_run;
CREATE SCHEMA IF NOT EXISTS waypost_vault;

-- The processes of this installation that are alive. A process that finds an expired
-- one deletes it together with its lanes.
CREATE TABLE waypost_run.process (
    id              uuid PRIMARY KEY,
    roles           text[] NOT NULL,
    heartbeat_at    timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    -- The time since which it can record webhooks without interruption. Null while it
    -- cannot.
    recording_since timestamptz
) WITH (fillfactor = 50);

-- The process that sends for a sender.
CREATE TABLE waypost_run.lane (
    sender text PRIMARY KEY,
    owner  uuid NOT NULL REFERENCES waypost_run.process ON DELETE CASCADE
);

CREATE INDEX lane_owner ON waypost_run.lane (owner);

-- The number of inbound messages of a sender per second, which count toward its limit.
CREATE TABLE waypost_run.inbound (
    sender text NOT NULL,
    second timestamptz NOT NULL,
    count  integer NOT NULL,
    PRIMARY KEY (sender, second)
);

-- Access tokens of senders, encrypted.
CREATE TABLE waypost_vault.sender_token (
    id         text PRIMARY KEY,
    sender     text NOT NULL,
    ciphertext bytea NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE INDEX sender_token_sender ON waypost_vault.sender_token (sender);

-- +goose Down

DROP TABLE waypost_vault.sender_token, waypost_run.inbound, waypost_run.lane, waypost_run.process;
