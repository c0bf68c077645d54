-- Run as heddle_owner.
CREATE TABLE IF NOT EXISTS ops.schema_migrations (
    number     integer PRIMARY KEY CHECK (number > 0),
    name       text NOT NULL,
    checksum   bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON ops.schema_migrations TO heddle_control;
