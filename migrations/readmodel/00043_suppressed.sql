-- +goose Up

ALTER TABLE metric ADD COLUMN suppressed bigint NOT NULL DEFAULT 0; -- messages to recipients who opted out

-- +goose Down

ALTER TABLE metric DROP COLUMN suppressed;
