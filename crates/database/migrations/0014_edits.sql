-- What people edit has a version, and what they ask for twice is made once.

ALTER TABLE ops.environments ADD version bigint NOT NULL DEFAULT 1;
GRANT UPDATE (version) ON ops.environments TO heddle_control, heddle_user;

-- What an idempotency key has made, where no run keeps the key.
CREATE TABLE ops.requests (
    requester    text NOT NULL,
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    -- SHA-256 of what was asked for under the key.
    request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
    made         uuid NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (requester, key)
);

CREATE INDEX requests_made_at ON ops.requests (made_at);

SELECT ops.secure_tables();
GRANT SELECT, INSERT, DELETE ON ops.requests TO heddle_control;
-- Everybody's own; workers have none.
GRANT SELECT, INSERT ON ops.requests TO heddle_user;
CREATE POLICY own ON ops.requests TO heddle_user
    USING (requester = (SELECT CASE WHEN ops.claim('key') IS NULL THEN 'user:' || ops.claim('user')
                                    ELSE 'key:' || ops.claim('key') END));
