-- +goose Up

-- Personal data in a row is sealed under the data key of the recipient, and keyed
-- hashes are used for lookups. So erasing a person also erases the data here.
DROP INDEX message_recipient, message_idempotency_key, message_labels;
ALTER TABLE message
    DROP COLUMN recipient,
    DROP COLUMN idempotency_key,
    DROP COLUMN labels,
    DROP COLUMN reply_to,
    DROP COLUMN whatsapp_id,
    ADD COLUMN data_key text,            -- null: the message was recorded in plain text
    ADD COLUMN personal bytea,           -- recipient, idempotency key, replyTo, labels
    ADD COLUMN idempotency_hash bytea,
    ADD COLUMN label_hashes bytea[],
    ADD COLUMN whatsapp_id bytea,        -- sealed, like the details of its failure
    ADD COLUMN failure_details bytea,
    ADD COLUMN wamid_hashes uuid[],      -- its keys in message_wamid
    ADD COLUMN personal_events integer NOT NULL DEFAULT 0,
    ADD COLUMN erased_at timestamptz;

CREATE INDEX message_data_key ON message (data_key, queued_position) WHERE data_key IS NOT NULL;
CREATE INDEX message_idempotency ON message (idempotency_hash) WHERE idempotency_hash IS NOT NULL;
CREATE INDEX message_labels ON message USING gin (label_hashes) WHERE label_hashes IS NOT NULL;

-- The number of events sealed under a key that belong to no message.
CREATE TABLE personal_event (
    data_key text PRIMARY KEY,
    count    bigint NOT NULL
) WITH (fillfactor = 80);

-- The existing rows are rebuilt from the log.
UPDATE projection SET log_id = '';

-- +goose Down

DROP TABLE personal_event;
DROP INDEX message_data_key, message_idempotency, message_labels;
ALTER TABLE message
    DROP COLUMN data_key,
    DROP COLUMN personal,
    DROP COLUMN idempotency_hash,
    DROP COLUMN label_hashes,
    DROP COLUMN whatsapp_id,
    DROP COLUMN failure_details,
    DROP COLUMN wamid_hashes,
    DROP COLUMN personal_events,
    DROP COLUMN erased_at,
    ADD COLUMN recipient text,
    ADD COLUMN labels jsonb,
    ADD COLUMN idempotency_key text,
    ADD COLUMN reply_to text,
    ADD COLUMN whatsapp_id text;
CREATE INDEX message_recipient ON message (recipient, queued_position) WHERE recipient IS NOT NULL;
CREATE INDEX message_idempotency_key ON message (idempotency_key, sender) WHERE idempotency_key IS NOT NULL;
CREATE INDEX message_labels ON message USING gin (labels jsonb_path_ops) WHERE labels IS NOT NULL;
UPDATE projection SET log_id = '';
