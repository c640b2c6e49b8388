-- +goose Up

-- Figures of a sender, or of all together under the empty name, in spans of so many
-- seconds: 1 (kept for some hours), 60 (kept), and 0 for all time. They go by the
-- time at which events were recorded, so that a past figure never changes.
CREATE TABLE metric (
    sender           text NOT NULL,
    width            smallint NOT NULL,
    at               timestamptz NOT NULL, -- where the span begins; the epoch for all time
    queued           bigint NOT NULL,
    sent             bigint NOT NULL, -- first acceptances
    delivered        bigint NOT NULL, -- read without delivered among them
    read             bigint NOT NULL,
    failed           bigint NOT NULL,
    dead_lettered    bigint NOT NULL,
    expired          bigint NOT NULL,
    faults           bigint NOT NULL, -- failed and dead_lettered without policy caps
    retried          bigint NOT NULL,
    throttled        bigint NOT NULL,
    ambiguous        bigint NOT NULL,
    settled          bigint NOT NULL,
    sent_twice       bigint NOT NULL,
    calls            bigint NOT NULL, -- that came to an outcome
    statuses         bigint NOT NULL,
    latency_us       bigint NOT NULL, -- sum, of those delivered
    lag_us           bigint NOT NULL, -- sum, of the statuses
    due_change       bigint NOT NULL, -- of what is due and not accepted
    drained          bigint NOT NULL, -- what ended being due
    scheduled_change bigint NOT NULL, -- of what waits for its sendAt
    PRIMARY KEY (sender, width, at)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- Delivery latencies by bucket, see query.LatencyBucket.
CREATE TABLE metric_latency (
    sender text NOT NULL,
    width  smallint NOT NULL,
    at     timestamptz NOT NULL,
    bucket smallint NOT NULL,
    count  bigint NOT NULL,
    PRIMARY KEY (sender, width, at, bucket)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- What became of the messages that were sent in a span, by the span in which it was
-- recorded.
CREATE TABLE metric_cohort (
    sender      text NOT NULL,
    width       smallint NOT NULL,
    at          timestamptz NOT NULL, -- the span in which WhatsApp accepted them
    recorded_at timestamptz NOT NULL,
    sent        bigint NOT NULL,
    delivered   bigint NOT NULL,
    PRIMARY KEY (sender, width, at, recorded_at)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Failed calls and failed statuses by type. A category that only the code tells is
-- empty here.
CREATE TABLE metric_error (
    sender   text NOT NULL,
    width    smallint NOT NULL,
    at       timestamptz NOT NULL,
    class    text NOT NULL,
    category text NOT NULL,
    code     text NOT NULL, -- empty: none
    count    bigint NOT NULL,
    PRIMARY KEY (sender, width, at, class, category, code)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- +goose Down

DROP TABLE metric_error, metric_cohort, metric_latency, metric;
