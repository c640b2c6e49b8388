-- +goose Up

-- The time from which a scheduled message is due, in whole seconds. It never changes.
-- Everything else has always been due.
ALTER TABLE work_item ADD COLUMN send_at timestamptz NOT NULL DEFAULT '-infinity';

-- The number of work items in a lane by their send_at. It gives the length of the
-- queues without reading the items. Triggers on work_item maintain it, so that it
-- counts the existing rows, whatever changes them.
CREATE TABLE work_count (
    sender   text NOT NULL,
    priority smallint NOT NULL,
    send_at  timestamptz NOT NULL,
    count    bigint NOT NULL,
    PRIMARY KEY (sender, priority, send_at)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

INSERT INTO work_count SELECT sender, priority, send_at, count(*) FROM work_item GROUP BY sender, priority, send_at;

-- +goose StatementBegin
CREATE FUNCTION count_work_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM work_count;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO work_count AS c SELECT sender, priority, send_at, count(*) FROM changed GROUP BY sender, priority, send_at
            ON CONFLICT (sender, priority, send_at) DO UPDATE SET count = c.count + excluded.count;
    ELSE
        INSERT INTO work_count AS c SELECT sender, priority, send_at, -count(*) FROM changed GROUP BY sender, priority, send_at
            ON CONFLICT (sender, priority, send_at) DO UPDATE SET count = c.count + excluded.count;
        -- Send times come and go, but lanes remain.
        DELETE FROM work_count c USING changed d WHERE d.send_at > '-infinity'
            AND c.sender = d.sender AND c.priority = d.priority AND c.send_at = d.send_at AND c.count = 0;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER work_item_inserted AFTER INSERT ON work_item
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_work_items();
CREATE TRIGGER work_item_deleted AFTER DELETE ON work_item
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_work_items();
CREATE TRIGGER work_item_truncated AFTER TRUNCATE ON work_item
    FOR EACH STATEMENT EXECUTE FUNCTION count_work_items();

-- +goose Down

DROP TRIGGER work_item_truncated ON work_item;
DROP TRIGGER work_item_deleted ON work_item;
DROP TRIGGER work_item_inserted ON work_item;
DROP FUNCTION count_work_items;
DROP TABLE work_count;
ALTER TABLE work_item DROP COLUMN send_at;
