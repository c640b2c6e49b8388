-- +goose Up

-- Each list is read in order from an index, by any single filter and by a sender with
-- one other filter, so that the cost of a page does not grow with the number of
-- messages. The columns are set by Queued and never change.
CREATE INDEX message_kind ON message (kind, queued_position);
CREATE INDEX message_sender_kind ON message (sender, kind, queued_position);
CREATE INDEX message_priority ON message (priority, queued_position);
CREATE INDEX message_sender_priority ON message (sender, priority, queued_position);
CREATE INDEX message_sender_template ON message (sender, template, queued_position) WHERE template IS NOT NULL;

-- Messages that are sent but not delivered are also few among the others.
INSERT INTO message_exception (message_id, sender, status, queued_position)
    SELECT id, sender, status, queued_position FROM message WHERE status = 'SENT' ON CONFLICT DO NOTHING;
CREATE INDEX message_exception_newest ON message_exception (queued_position);
CREATE INDEX message_exception_sender ON message_exception (sender, status, queued_position);
CREATE INDEX message_exception_code ON message_exception (error_code, queued_position) WHERE error_code IS NOT NULL;

-- The messages with a label, in order, which a GIN index does not provide. As in
-- message, the label is a keyed hash.
CREATE TABLE message_label (
    label_hash      bytea NOT NULL,
    queued_position bigint NOT NULL,
    sender          text NOT NULL,
    PRIMARY KEY (label_hash, queued_position)
);
CREATE INDEX message_label_sender ON message_label (label_hash, sender, queued_position);
INSERT INTO message_label SELECT DISTINCT h, queued_position, sender FROM message CROSS JOIN unnest(label_hashes) AS h;
DROP INDEX message_labels;

-- The positions of the messages of ten seconds, for finding a time in the log.
CREATE TABLE message_time (
    at             timestamptz PRIMARY KEY,
    first_position bigint NOT NULL,
    last_position  bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO message_time SELECT date_bin('10 seconds', queued_at, 'epoch'), min(queued_position), max(queued_position) FROM message GROUP BY 1;

-- +goose Down

DROP TABLE message_time, message_label;
CREATE INDEX message_labels ON message USING gin (label_hashes) WHERE label_hashes IS NOT NULL;
DROP INDEX message_exception_code, message_exception_sender, message_exception_newest;
DELETE FROM message_exception WHERE status = 'SENT' AND error_category IS NULL;
DROP INDEX message_sender_template, message_sender_priority, message_priority, message_sender_kind, message_kind;
