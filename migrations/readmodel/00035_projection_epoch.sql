-- +goose Up

-- Who projects a group remembers rows, and has to notice when another has changed them:
-- the position tells of batches, the epoch of a rebuild and of streams that were mended.
ALTER TABLE projection ADD COLUMN epoch uuid NOT NULL DEFAULT gen_random_uuid();

-- +goose Down

ALTER TABLE projection DROP COLUMN epoch;
