-- +goose Up

-- The current state of the message templates. There are at most a few thousand for each account.
CREATE TABLE template (
    account  text NOT NULL,
    name     text NOT NULL,
    language text NOT NULL,
    revision bigint NOT NULL,
    position bigint NOT NULL,
    status   text NOT NULL,
    category text NOT NULL,
    quality  text NOT NULL,
    changed_at timestamptz, -- when the category was last changed
    state    jsonb NOT NULL,
    PRIMARY KEY (account, name, language)
);

-- The accounts whose templates are all known.
CREATE TABLE template_list (
    account   text PRIMARY KEY,
    count     bigint NOT NULL,
    listed_at timestamptz NOT NULL
);

-- +goose Down

DROP TABLE template_list, template;
