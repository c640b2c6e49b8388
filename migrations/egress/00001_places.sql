-- +goose Up

-- How far events have left to other systems, and which process sends them.
CREATE TABLE waypost_egress.place (
    name        text PRIMARY KEY,
    -- The log that position belongs to; empty before the first event.
    log_id      text NOT NULL DEFAULT '',
    position    bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz,
    owner       uuid,
    leased_till timestamptz
) WITH (fillfactor = 50);

-- +goose Down

DROP TABLE waypost_egress.place;
