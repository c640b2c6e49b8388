-- +goose Up

-- The time by which the delivery of a message is wanted, and the time since which it is overdue. Both
-- are null for a message without such a time, so its rows and their indexes stay as they were.
ALTER TABLE message
    ADD COLUMN deliver_within_us bigint,
    ADD COLUMN deliver_by        timestamptz, -- while SENT and not overdue
    ADD COLUMN overdue_since     timestamptz; -- while SENT

-- Every SENT message has a row here, which its delivery removes.
ALTER TABLE message_exception
    ADD COLUMN deliver_by    timestamptz,
    ADD COLUMN overdue_since timestamptz;
CREATE INDEX message_exception_undelivered ON message_exception (sender, deliver_by) WHERE deliver_by IS NOT NULL;
CREATE INDEX message_exception_overdue ON message_exception (queued_position) WHERE overdue_since IS NOT NULL;
CREATE INDEX message_exception_sender_overdue ON message_exception (sender, queued_position) WHERE overdue_since IS NOT NULL;

ALTER TABLE metric ADD COLUMN overdue bigint NOT NULL DEFAULT 0; -- messages whose delivery became overdue

-- +goose Down

ALTER TABLE metric DROP COLUMN overdue;
DROP INDEX message_exception_sender_overdue, message_exception_overdue, message_exception_undelivered;
ALTER TABLE message_exception DROP COLUMN overdue_since, DROP COLUMN deliver_by;
ALTER TABLE message DROP COLUMN overdue_since, DROP COLUMN deliver_by, DROP COLUMN deliver_within_us;
