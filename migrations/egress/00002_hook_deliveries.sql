-- +goose Up

-- The deliveries to outgoing webhooks and their outcomes, kept for a week.
CREATE TABLE waypost_egress.hook_delivery (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook       text NOT NULL,
    event      uuid NOT NULL,
    event_type text NOT NULL,
    message    uuid NOT NULL,
    attempt    integer NOT NULL,
    at         timestamptz NOT NULL,
    took_us    bigint NOT NULL,
    -- The HTTP status code, or 0 if there was no response.
    status     integer NOT NULL,
    error      text NOT NULL,
    outcome    text NOT NULL
);

CREATE INDEX hook_delivery_hook ON waypost_egress.hook_delivery (hook, id);
CREATE INDEX hook_delivery_at ON waypost_egress.hook_delivery (at);

-- +goose Down

DROP TABLE waypost_egress.hook_delivery;
