-- +goose Up

-- The silences of alerts. until is the planned end, or when an operator ended it.
CREATE TABLE alert_silence (
    id       text PRIMARY KEY,
    revision bigint NOT NULL,
    position bigint NOT NULL,
    until    timestamptz NOT NULL,
    data     jsonb NOT NULL
);

CREATE INDEX alert_silence_end ON alert_silence (until, id);

-- +goose Down

DROP TABLE alert_silence;
