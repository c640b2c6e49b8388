-- +goose Up

-- The current state of the alerts.
CREATE TABLE alert (
    id       uuid PRIMARY KEY,
    revision bigint NOT NULL,
    -- The position of the last event and the time at which it was recorded: the order
    -- of lists.
    position bigint NOT NULL,
    at       timestamptz NOT NULL,
    rule     text NOT NULL,
    kind     text NOT NULL,
    severity text NOT NULL,
    sender   text NOT NULL, -- empty: over all senders
    state    text NOT NULL,
    data     jsonb NOT NULL
);

CREATE UNIQUE INDEX alert_newest ON alert (position);
CREATE INDEX alert_latest ON alert (rule, sender, severity, position);

-- The current rules that were changed or added.
CREATE TABLE alert_rule (
    id       text PRIMARY KEY,
    revision bigint NOT NULL,
    position bigint NOT NULL,
    data     jsonb NOT NULL
);

-- +goose Down

DROP TABLE alert_rule, alert;
