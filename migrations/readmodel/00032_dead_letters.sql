-- +goose Up

-- Dead letters are counted by category with every page of them, by any filter but the
-- label from the index alone.
CREATE INDEX message_exception_category ON message_exception (status, error_category, sender) INCLUDE (error_code, dead_lettered_at);

-- +goose Down

DROP INDEX message_exception_category;
