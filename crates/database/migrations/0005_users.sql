-- Who may ask: people with sessions, and programs with keys. Of each secret
-- only a hash is kept.

CREATE TABLE ops.users (
    id                  uuid PRIMARY KEY,
    login               text NOT NULL UNIQUE CHECK (login ~ '^[a-z0-9][a-z0-9@._-]{0,99}$'),
    -- Argon2id; null before one was chosen.
    password_hash       text,
    one_time_hash       text,
    one_time_expires_at timestamptz,
    created_at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_one_time_ends CHECK ((one_time_hash IS NULL) = (one_time_expires_at IS NULL))
);

CREATE TABLE ops.sessions (
    -- SHA-256; the token itself is random, so a plain hash is enough.
    token_hash        bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    user_id           uuid NOT NULL REFERENCES ops.users,
    csrf              text NOT NULL,
    must_set_password boolean NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX sessions_user ON ops.sessions (user_id);

-- Wrong passwords for a login from one address, whether or not it exists.
CREATE TABLE ops.sign_in_failures (
    login        text NOT NULL CHECK (length(login) <= 100),
    address      text NOT NULL CHECK (length(address) <= 100),
    failures     integer NOT NULL CHECK (failures > 0),
    last_at      timestamptz NOT NULL DEFAULT now(),
    locked_until timestamptz,
    PRIMARY KEY (login, address)
);

CREATE TABLE ops.api_keys (
    id           uuid PRIMARY KEY,
    name         text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    prefix       text NOT NULL UNIQUE,
    secret_hash  bytea NOT NULL CHECK (length(secret_hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at   timestamptz
) WITH (fillfactor = 70);

GRANT SELECT, INSERT, UPDATE (password_hash, one_time_hash, one_time_expires_at) ON ops.users TO heddle_control;
GRANT SELECT, INSERT, UPDATE (must_set_password, expires_at), DELETE ON ops.sessions TO heddle_control;
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.sign_in_failures TO heddle_control;
GRANT SELECT, INSERT, UPDATE (last_used_at, revoked_at) ON ops.api_keys TO heddle_control;
