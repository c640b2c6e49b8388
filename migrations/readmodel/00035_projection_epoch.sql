-- +goose Up

-- A process that projects a group caches rows and must detect changes by another
-- process: the position changes with batches, and the epoch with a rebuild and with
-- repaired streams.
ALTER TABLE projection ADD COLUMN epoch uuid NOT NULL DEFAULT gen_random_uuid();

-- +goose Down

ALTER TABLE projection DROP COLUMN epoch;
