-- +goose Up

-- What identifies the labels of the message: the hashes of message.label_hashes, in hexadecimal.
ALTER TABLE work_item ADD COLUMN labels text[];
UPDATE work_item w SET labels = ARRAY(SELECT encode(hash, 'hex') FROM unnest(m.label_hashes) WITH ORDINALITY AS l (hash, place) ORDER BY place)
FROM message m WHERE m.id = w.message_id AND m.label_hashes IS NOT NULL;

-- +goose Down

ALTER TABLE work_item DROP COLUMN labels;
