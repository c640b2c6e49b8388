-- +goose Up

-- What is known about people and the senders that they talk to. A row combines the events that
-- one data key seals and that name the person by one ID, so that erasing the key erases the row. A
-- person has a row for each of their IDs and keys; queries merge them.
CREATE TABLE conversation (
    sender           text NOT NULL,
    person           bytea NOT NULL, -- keyed hash of the ID
    data_key         text NOT NULL,
    name             bytea,          -- the ID, sealed
    position         bigint NOT NULL, -- of the last event that changed the row
    inbound_at       timestamptz,
    inbound_stream   text,           -- of the last inbound message
    inbound_revision bigint,
    opened_at        timestamptz,
    refused_at       timestamptz,
    echoed_at        timestamptz,
    free_until       timestamptz,
    opted_out        boolean,        -- the latest choice, null if there was none
    choice_at        timestamptz,
    choice_source    text,
    choice_position  bigint,
    PRIMARY KEY (sender, person, data_key)
) WITH (fillfactor = 80);
CREATE INDEX conversation_data_key ON conversation (data_key);
CREATE INDEX conversation_newest ON conversation (position);
CREATE INDEX conversation_sender ON conversation (sender, position);

-- Fill it from past events.
UPDATE projection SET log_id = '' WHERE name = 'views';

-- +goose Down

DROP TABLE conversation;
