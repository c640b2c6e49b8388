-- +goose Up

-- Messages that were queued together stand on one page and are changed together, four
-- times in their life. Half a page holds the new versions of the other half: then the
-- ten indexes are left alone, which cost more than the row. At a fill of 80 % two of
-- five changes had no room.
--
-- Of a table that mostly changes and seldom grows, statistics are as good after so many
-- changes as after a tenth of them.
ALTER TABLE message SET (fillfactor = 50, autovacuum_analyze_threshold = 50000, autovacuum_analyze_scale_factor = 0.5);
ALTER TABLE message_exception SET (fillfactor = 70, autovacuum_analyze_threshold = 50000, autovacuum_analyze_scale_factor = 0.5);
ALTER TABLE work_item SET (autovacuum_analyze_threshold = 50000, autovacuum_analyze_scale_factor = 1);

-- +goose Down

ALTER TABLE message SET (fillfactor = 80);
ALTER TABLE message RESET (autovacuum_analyze_threshold, autovacuum_analyze_scale_factor);
ALTER TABLE message_exception RESET (fillfactor, autovacuum_analyze_threshold, autovacuum_analyze_scale_factor);
ALTER TABLE work_item SET (autovacuum_analyze_scale_factor = 0.1);
ALTER TABLE work_item RESET (autovacuum_analyze_threshold);
