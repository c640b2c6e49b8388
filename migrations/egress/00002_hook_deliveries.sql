-- +goose Up

-- What was delivered to outgoing webhooks, and how: kept for a week.
CREATE TABLE waypost_egress.hook_delivery (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook       text NOT NULL,
    event      uuid NOT NULL,
    event_type text NOT NULL,
    message    uuid NOT NULL,
    attempt    integer NOT NULL,
    at         timestamptz NOT NULL,
    took_us    bigint NOT NULL,
    -- That of HTTP; 0 if no answer came.
    status     integer NOT NULL,
    error      text NOT NULL,
    outcome    text NOT NULL
);

CREATE INDEX hook_delivery_hook ON waypost_egress.hook_delivery (hook, id);
CREATE INDEX hook_delivery_at ON waypost_egress.hook_delivery (at);

-- +goose Down

DROP TABLE waypost_egress.hook_delivery;
