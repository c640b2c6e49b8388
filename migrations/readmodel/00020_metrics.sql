-- +goose Up

-- Metrics of a sender, or of all senders under the empty name, in intervals of width
-- seconds: 1 (kept for some hours), 60 (kept), and 0 for all time. They use the time at
-- which events were recorded, so that past values never change.
CREATE TABLE metric (
    sender           text NOT NULL,
    width            smallint NOT NULL,
    at               timestamptz NOT NULL, -- start of the interval; the epoch for all time
    queued           bigint NOT NULL,
    sent             bigint NOT NULL, -- first acceptances
    delivered        bigint NOT NULL, -- including read without delivered
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
    calls            bigint NOT NULL, -- with an outcome
    statuses         bigint NOT NULL,
    latency_us       bigint NOT NULL, -- sum over the delivered messages
    lag_us           bigint NOT NULL, -- sum over the statuses
    due_change       bigint NOT NULL, -- change of the number of due and not accepted messages
    drained          bigint NOT NULL, -- messages that are no longer due
    scheduled_change bigint NOT NULL, -- change of the number of messages waiting for their sendAt
    PRIMARY KEY (sender, width, at)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- Delivery latencies by bucket (see query.LatencyBucket).
CREATE TABLE metric_latency (
    sender text NOT NULL,
    width  smallint NOT NULL,
    at     timestamptz NOT NULL,
    bucket smallint NOT NULL,
    count  bigint NOT NULL,
    PRIMARY KEY (sender, width, at, bucket)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- The outcomes of the messages that were sent in an interval, by the interval in which
-- the outcome was recorded.
CREATE TABLE metric_cohort (
    sender      text NOT NULL,
    width       smallint NOT NULL,
    at          timestamptz NOT NULL, -- the interval in which WhatsApp accepted them
    recorded_at timestamptz NOT NULL,
    sent        bigint NOT NULL,
    delivered   bigint NOT NULL,
    PRIMARY KEY (sender, width, at, recorded_at)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Failed calls and failed statuses by type. The category is empty if only the code
-- determines it.
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
