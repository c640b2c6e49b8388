-- +goose NO TRANSACTION

-- +goose Up

-- Nodes of the previous version keep working while this runs, so it locks few rows at a time.
-- +goose StatementBegin
DO $$
DECLARE
    last uuid := '00000000-0000-0000-0000-000000000000';
    next uuid;
BEGIN
    LOOP
        next := (SELECT message_id FROM work_item WHERE message_id > last ORDER BY message_id OFFSET 9999 LIMIT 1);
        UPDATE work_item w SET labels = ARRAY(SELECT encode(hash, 'hex') FROM unnest(m.label_hashes) WITH ORDINALITY AS l (hash, place) ORDER BY place)
        FROM message m
        WHERE m.id = w.message_id AND m.label_hashes IS NOT NULL AND w.labels IS NULL AND w.message_id > last
            AND (next IS NULL OR w.message_id <= next);
        COMMIT;
        EXIT WHEN next IS NULL;
        last := next;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
