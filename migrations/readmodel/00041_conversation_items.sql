-- +goose Up

-- Where the messages are that a person wrote to a sender, or that the sender's number wrote to
-- the person without Waypost: in the event log. Waypost's own are found by their data keys.
CREATE TABLE conversation_item (
    sender   text NOT NULL,
    person   bytea NOT NULL, -- keyed hash of the ID
    position bigint NOT NULL,
    data_key text NOT NULL,
    at       timestamptz,
    stream   text NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (sender, person, position)
);
CREATE INDEX conversation_item_data_key ON conversation_item (data_key);
CREATE INDEX conversation_opted_out ON conversation (position) WHERE opted_out;

-- Fill it from past events.
UPDATE projection SET log_id = '' WHERE name = 'views';

-- +goose Down

DROP INDEX conversation_opted_out;
DROP TABLE conversation_item;
