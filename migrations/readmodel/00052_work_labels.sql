-- +goose Up

-- What identifies the labels of the message: the hashes of message.label_hashes, in hexadecimal.
ALTER TABLE work_item ADD COLUMN labels text[];

-- +goose Down

ALTER TABLE work_item DROP COLUMN labels;
