-- +goose Up

-- The business portfolios with a messaging limit that is counted, and how many people count now.
-- If it is lost, it is filled again from the read model of messages.
CREATE TABLE waypost_run.messaging_limit (
    portfolio     text PRIMARY KEY,
    people        integer NOT NULL, -- the limit
    senders       text[] NOT NULL,
    used          integer NOT NULL, -- rows of messaging_person
    refused_until timestamptz,
    refused_code  integer
) WITH (fillfactor = 50);

-- The people to whom the senders of a portfolio sent a message outside a window in the last 24
-- hours. A person is the ID of the data key of their messages.
CREATE TABLE waypost_run.messaging_person (
    portfolio text NOT NULL REFERENCES waypost_run.messaging_limit ON DELETE CASCADE,
    person    text NOT NULL,
    at        timestamptz NOT NULL, -- of the last admission
    calls     integer NOT NULL,     -- admissions
    PRIMARY KEY (portfolio, person)
) WITH (fillfactor = 80);
CREATE INDEX messaging_person_at ON waypost_run.messaging_person (portfolio, at);

-- +goose Down

DROP TABLE waypost_run.messaging_person, waypost_run.messaging_limit;
