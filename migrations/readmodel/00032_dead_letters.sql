-- +goose Up

-- Every page of dead letters counts them by category. With any filter except the label,
-- the index is sufficient for that.
CREATE INDEX message_exception_category ON message_exception (status, error_category, sender) INCLUDE (error_code, dead_lettered_at);

-- +goose Down

DROP INDEX message_exception_category;
