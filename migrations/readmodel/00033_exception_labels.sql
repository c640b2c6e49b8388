-- +goose Up

-- Every page of dead letters with a label counts them, so each one has its labels, as
-- in message, and an index on them.
ALTER TABLE message_exception ADD COLUMN label_hashes bytea[];
UPDATE message_exception x SET label_hashes = m.label_hashes FROM message m WHERE m.id = x.message_id AND m.label_hashes IS NOT NULL;
CREATE INDEX message_exception_labels ON message_exception USING gin (label_hashes) WHERE status = 'DEAD_LETTERED';

-- +goose Down

DROP INDEX message_exception_labels;
ALTER TABLE message_exception DROP COLUMN label_hashes;
