-- +goose Up

-- Whether the message waits because the messaging limit is reached. Then due_at is only the latest
-- time to look again.
ALTER TABLE work_item ADD COLUMN awaits_limit boolean NOT NULL DEFAULT false;
CREATE INDEX work_item_limited ON work_item (sender, due_at) WHERE awaits_limit;
CREATE INDEX work_item_limited_recipient ON work_item (sender, recipient) WHERE awaits_limit;

-- +goose Down

DROP INDEX work_item_limited_recipient, work_item_limited;
ALTER TABLE work_item DROP COLUMN awaits_limit;
