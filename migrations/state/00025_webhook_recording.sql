-- +goose Up

-- How completely webhooks were recorded: see package coverage. One row, once a process recorded any.
CREATE TABLE waypost_run.webhook_recording (
    id         smallint PRIMARY KEY CHECK (id = 1),
    since      timestamptz NOT NULL,
    heard_at   timestamptz NOT NULL,
    broke_at   timestamptz,
    bridged_at timestamptz
) WITH (fillfactor = 50);

-- The processes that record webhooks, with their last heartbeat.
CREATE TABLE waypost_run.webhook_recorder (
    process  uuid PRIMARY KEY,
    heard_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The phone numbers of which webhooks came.
CREATE TABLE waypost_run.webhook_number (
    phone_number_id text PRIMARY KEY,
    since           timestamptz NOT NULL,
    heard_at        timestamptz NOT NULL
) WITH (fillfactor = 50);

-- +goose Down

DROP TABLE waypost_run.webhook_number, waypost_run.webhook_recorder, waypost_run.webhook_recording;
