-- +goose Up

-- The alert rules look for these templates every few seconds. There are few.
CREATE INDEX template_alerts ON template (account, name, language)
    WHERE status IN ('PAUSED', 'DISABLED') OR changed_at IS NOT NULL OR state ->> 'Announced' <> '';

-- +goose Down

DROP INDEX template_alerts;
