-- +goose Up

-- Alerts as their events leave them.
CREATE TABLE alert (
    id       uuid PRIMARY KEY,
    revision bigint NOT NULL,
    -- Of its last event, and when that was recorded: the order of lists.
    position bigint NOT NULL,
    at       timestamptz NOT NULL,
    rule     text NOT NULL,
    kind     text NOT NULL,
    severity text NOT NULL,
    sender   text NOT NULL, -- empty: over all
    state    text NOT NULL,
    data     jsonb NOT NULL
);

CREATE UNIQUE INDEX alert_newest ON alert (position);
CREATE INDEX alert_latest ON alert (rule, sender, severity, position);

-- Rules that were changed or added, as they count now.
CREATE TABLE alert_rule (
    id       text PRIMARY KEY,
    revision bigint NOT NULL,
    position bigint NOT NULL,
    data     jsonb NOT NULL
);

-- +goose Down

DROP TABLE alert_rule, alert;
