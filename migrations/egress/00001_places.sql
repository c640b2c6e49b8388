-- +goose Up

-- The progress of publishing events to other systems, and the process that publishes.
CREATE TABLE waypost_egress.place (
    name        text PRIMARY KEY,
    -- The log that position belongs to. Empty before the first event.
    log_id      text NOT NULL DEFAULT '',
    position    bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz,
    owner       uuid,
    leased_till timestamptz
) WITH (fillfactor = 50);

-- +goose Down

DROP TABLE waypost_egress.place;
