-- +goose Up

-- A scheduled message is due from the start of the second of its send_at, as the metrics
-- count it. Before, it was due from the end of that second, so queues and their changes
-- differed within the second.
LOCK TABLE work_item IN SHARE ROW EXCLUSIVE MODE;
UPDATE work_item w SET send_at = date_trunc('second', s.send_at)
FROM (
    -- The message can be missing, because another group projects it. Until the first
    -- call, the item is due at its send_at.
    SELECT i.message_id, coalesce(m.send_at, i.due_at) AS send_at
    FROM work_item i LEFT JOIN message m ON m.id = i.message_id
    WHERE i.send_at > '-infinity' AND (m.send_at IS NOT NULL OR i.call = 0)
) s
WHERE w.message_id = s.message_id AND w.send_at <> date_trunc('second', s.send_at);
DELETE FROM work_count WHERE send_at > '-infinity';
INSERT INTO work_count SELECT sender, priority, send_at, count(*) FROM work_item
    WHERE send_at > '-infinity' GROUP BY sender, priority, send_at;

-- +goose Down

LOCK TABLE work_item IN SHARE ROW EXCLUSIVE MODE;
UPDATE work_item w SET send_at = date_trunc('second', s.send_at + interval '999999 us')
FROM (
    SELECT i.message_id, coalesce(m.send_at, i.due_at) AS send_at
    FROM work_item i LEFT JOIN message m ON m.id = i.message_id
    WHERE i.send_at > '-infinity' AND (m.send_at IS NOT NULL OR i.call = 0)
) s
WHERE w.message_id = s.message_id AND w.send_at <> date_trunc('second', s.send_at + interval '999999 us');
DELETE FROM work_count WHERE send_at > '-infinity';
INSERT INTO work_count SELECT sender, priority, send_at, count(*) FROM work_item
    WHERE send_at > '-infinity' GROUP BY sender, priority, send_at;
