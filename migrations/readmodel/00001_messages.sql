-- +goose Up

-- How far each group of projections has come, and in which log.
CREATE TABLE projection (
    name        text PRIMARY KEY,
    log_id      text NOT NULL,
    position    bigint NOT NULL,
    -- The last projected event that bears on the work-list: two groups with the same
    -- one have seen the same messages come and go.
    work_position bigint NOT NULL DEFAULT 0,
    -- When the last event that was projected had been recorded.
    recorded_at timestamptz,
    -- Whether nothing more waited when the position was written.
    live        boolean NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Streams left out since an event of theirs could not be projected.
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

-- One row for each message. All columns that an index names are set by Queued and
-- never change: the updates of a message's life stay off the indexes (HOT), hence
-- the room that the fill factor leaves.
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

-- The messages whose status is out of the ordinary, or that have failed: what lists
-- look for among millions of others. Kept apart so that message needs no index on
-- what changes.
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

-- Which message a WhatsApp id belongs to. A wamid holds the recipient's number, so
-- the key is the first half of its SHA-256.
CREATE TABLE message_wamid (
    wamid_hash uuid PRIMARY KEY,
    message_id uuid NOT NULL,
    call       integer NOT NULL
);

-- How many messages of a sender stand in each status, how many were queued at all
-- ("queued") and how many were sent twice ("sent_twice").
CREATE TABLE message_count (
    sender  text NOT NULL,
    counter text NOT NULL,
    count   bigint NOT NULL,
    PRIMARY KEY (sender, counter)
) WITH (fillfactor = 50);

-- Senders as their events leave them.
CREATE TABLE sender (
    id       text PRIMARY KEY,
    revision bigint NOT NULL,
    position bigint NOT NULL,
    state    jsonb NOT NULL
);

-- One row for each open message: what dispatch has to do, and when.
CREATE TABLE work_item (
    message_id      uuid PRIMARY KEY,
    sender          text NOT NULL,
    priority        smallint NOT NULL,
    state           smallint NOT NULL, -- 0 ready, 1 calling, 2 unsettled
    fresh           boolean NOT NULL,  -- ready since it was queued and never touched
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
    -- A queue: rows come and go, and what is dead lies where the next fetch begins.
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
