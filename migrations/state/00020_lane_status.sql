-- +goose Up

-- The status of the lanes, written every second by the process that sends for them, so
-- that any other process can show it.
CREATE TABLE waypost_run.lane_status (
    sender          text PRIMARY KEY,
    effective_rate  double precision NOT NULL,
    throttled_until timestamptz,
    next_probe_at   timestamptz,
    updated_at      timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Webhooks without a valid signature, by second.
CREATE TABLE waypost_run.webhook_rejection (
    second timestamptz PRIMARY KEY,
    count  integer NOT NULL
);

-- Tasks that one process performs at a time, and the current process, by Postgres's
-- clock.
CREATE TABLE waypost_run.duty (
    name       text PRIMARY KEY,
    owner      uuid NOT NULL,
    expires_at timestamptz NOT NULL
);

-- +goose Down

DROP TABLE waypost_run.duty, waypost_run.webhook_rejection, waypost_run.lane_status;
