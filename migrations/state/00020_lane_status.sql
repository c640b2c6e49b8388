-- +goose Up

-- How the lanes stand, as their owners see them: written every second by the process
-- that sends for them, so that any other can show it.
CREATE TABLE waypost_run.lane_status (
    sender          text PRIMARY KEY,
    effective_rate  double precision NOT NULL,
    throttled_until timestamptz,
    next_probe_at   timestamptz,
    updated_at      timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Webhooks that came without a right signature, by the second.
CREATE TABLE waypost_run.webhook_rejection (
    second timestamptz PRIMARY KEY,
    count  integer NOT NULL
);

-- What one process at a time does, and which one, by Postgres's clock.
CREATE TABLE waypost_run.duty (
    name       text PRIMARY KEY,
    owner      uuid NOT NULL,
    expires_at timestamptz NOT NULL
);

-- +goose Down

DROP TABLE waypost_run.duty, waypost_run.webhook_rejection, waypost_run.lane_status;
