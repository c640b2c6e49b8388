-- +goose Up

-- Why a lane has stopped while WhatsApp does not respond: query.Breaker as JSON. Null if it has not.
ALTER TABLE waypost_run.lane_status ADD COLUMN breaker jsonb;

-- +goose Down

ALTER TABLE waypost_run.lane_status DROP COLUMN breaker;
