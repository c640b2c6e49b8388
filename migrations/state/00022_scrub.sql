-- +goose Up

-- The erasures whose traces must still be removed from the files. A row is written in
-- the transaction that destroys the keys, and deleted once no trace is left on disk. So
-- another attempt follows a crash in between.
CREATE TABLE waypost_vault.scrub_due (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    destroyed_at timestamptz NOT NULL DEFAULT now()
);

-- Erasures before this version left wrapped keys in recycled segments of the
-- write-ahead log and in the column statistics.
INSERT INTO waypost_vault.scrub_due (destroyed_at)
    SELECT now() WHERE EXISTS (SELECT FROM waypost_vault.data_key WHERE erased_at IS NOT NULL);

-- No lookup uses a wrapped key, and samples of a column's values are copied to
-- pg_statistic. Setting the type again drops the existing samples.
ALTER TABLE waypost_vault.data_key ALTER COLUMN wrapped TYPE bytea, ALTER COLUMN wrapped SET STATISTICS 0;
ALTER TABLE waypost_vault.key_seed ALTER COLUMN wrapped TYPE bytea, ALTER COLUMN wrapped SET STATISTICS 0;

-- +goose Down

ALTER TABLE waypost_vault.key_seed ALTER COLUMN wrapped SET STATISTICS -1;
ALTER TABLE waypost_vault.data_key ALTER COLUMN wrapped SET STATISTICS -1;
DROP TABLE waypost_vault.scrub_due;
