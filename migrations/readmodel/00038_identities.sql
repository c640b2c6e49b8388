-- +goose Up

-- Which IDs WhatsApp says belong to one person. The IDs are sealed under the data key of
-- the link, so that erasing one of them erases the row.
CREATE TABLE identity_link (
    position bigint PRIMARY KEY,
    account  text NOT NULL,
    at       timestamptz NOT NULL,
    data_key text NOT NULL,
    names    bytea NOT NULL
);
CREATE INDEX identity_link_data_key ON identity_link (data_key);

-- The links of an ID, by its keyed hash.
CREATE TABLE identity_name (
    name     bytea NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (name, position)
);

-- +goose Down

DROP TABLE identity_name, identity_link;
