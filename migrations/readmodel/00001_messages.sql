-- +goose Up

-- The progress of each group of projections, and the log that it refers to.
CREATE TABLE projection (
    name        text PRIMARY KEY,
    log_id      text NOT NULL,
    position    bigint NOT NULL,
    -- The last projected event that affects the work list: two groups with the same
    -- value have seen the same messages come and go.
    work_position bigint NOT NULL DEFAULT 0,
    -- When the last projected event was recorded.
    recorded_at timestamptz,
    -- Whether no further events were waiting when the position was written.
    live        boolean NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Streams that are omitted because an event in them could not be projected.
CREATE TABLE parked_event (
    projection text NOT NULL,
    stream     text NOT NULL,
    revision   bigint NOT NULL,
    position   bigint NOT NULL,
    type       text NOT NULL,
    error      text NOT NULL,
    parked_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, stream)
);

-- One row per message. All columns in indexes are set by Queued and never change: the
-- updates during a message's life do not touch the indexes (HOT), so the fill factor
-- leaves space for them.
CREATE TABLE message (
    id               uuid PRIMARY KEY,
    queued_position  bigint NOT NULL,
    revision         bigint NOT NULL,
    position         bigint NOT NULL,
    sender           text NOT NULL,
    recipient        text,
    kind             text NOT NULL,
    priority         smallint NOT NULL,
    on_ambiguous     text NOT NULL,
    template         text,
    labels           jsonb,
    idempotency_key  text,
    reply_to         text,
    queued_at        timestamptz NOT NULL,
    send_at          timestamptz,
    expires_at       timestamptz,
    status           text NOT NULL,
    status_reason    text,
    attempts         integer NOT NULL,
    calls            integer NOT NULL,
    whatsapp_id      text,
    sent_at          timestamptz,
    delivered_at     timestamptz,
    read_at          timestamptz,
    retry_at         timestamptz,
    dead_lettered_at timestamptz,
    failure          jsonb,
    sent_twice       boolean NOT NULL
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX message_newest ON message (queued_position);
CREATE INDEX message_sender ON message (sender, queued_position);
CREATE INDEX message_recipient ON message (recipient, queued_position) WHERE recipient IS NOT NULL;
CREATE INDEX message_idempotency_key ON message (idempotency_key, sender) WHERE idempotency_key IS NOT NULL;
CREATE INDEX message_template ON message (template, queued_position) WHERE template IS NOT NULL;
CREATE INDEX message_labels ON message USING gin (labels jsonb_path_ops) WHERE labels IS NOT NULL;

-- The messages with an unusual status or a failure, which lists look for among millions
-- of others. They are separate so that message needs no index on columns that change.
CREATE TABLE message_exception (
    message_id       uuid PRIMARY KEY,
    sender           text NOT NULL,
    status           text NOT NULL,
    queued_position  bigint NOT NULL,
    error_category   text,
    error_code       integer,
    dead_lettered_at timestamptz
);

CREATE INDEX message_exception_status ON message_exception (status, queued_position);
CREATE INDEX message_exception_error ON message_exception (error_category, queued_position) WHERE error_category IS NOT NULL;

-- The message that a WhatsApp ID belongs to. A wamid contains the recipient's number,
-- so the key is the first half of its SHA-256.
CREATE TABLE message_wamid (
    wamid_hash uuid PRIMARY KEY,
    message_id uuid NOT NULL,
    call       integer NOT NULL
);

-- The number of messages of a sender in each status, of all queued messages ("queued"),
-- and of messages that were sent twice ("sent_twice").
CREATE TABLE message_count (
    sender  text NOT NULL,
    counter text NOT NULL,
    count   bigint NOT NULL,
    PRIMARY KEY (sender, counter)
) WITH (fillfactor = 50);

-- The current state of the senders.
CREATE TABLE sender (
    id       text PRIMARY KEY,
    revision bigint NOT NULL,
    position bigint NOT NULL,
    state    jsonb NOT NULL
);

-- One row per open message: what dispatch must do, and when.
CREATE TABLE work_item (
    message_id      uuid PRIMARY KEY,
    sender          text NOT NULL,
    priority        smallint NOT NULL,
    state           smallint NOT NULL, -- 0 ready, 1 calling, 2 unsettled
    fresh           boolean NOT NULL,  -- ready since it was queued, and unchanged
    due_at          timestamptz NOT NULL,
    expires_at      timestamptz,
    recipient       text NOT NULL,
    attempt         integer NOT NULL,
    call            integer NOT NULL,
    on_ambiguous    text NOT NULL,
    template        text NOT NULL,
    revision        bigint NOT NULL,
    position        bigint NOT NULL,
    queued_position bigint NOT NULL
) WITH (
    fillfactor = 70,
    -- A queue: rows come and go, and dead rows are where the next fetch begins.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.2,
    autovacuum_analyze_scale_factor = 0.1
);

CREATE INDEX work_item_fresh ON work_item (sender, priority, queued_position) WHERE fresh;
CREATE INDEX work_item_timed ON work_item (sender, priority, due_at) WHERE state = 0 AND NOT fresh;
CREATE INDEX work_item_unanswered ON work_item (sender, due_at) WHERE state > 0;
CREATE INDEX work_item_expiry ON work_item (sender, expires_at) WHERE state = 0 AND expires_at IS NOT NULL;

-- +goose Down

DROP TABLE work_item, sender, message_count, message_wamid, message_exception, message, parked_event, projection;
