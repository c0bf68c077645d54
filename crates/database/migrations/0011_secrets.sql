-- Secrets of projects, environments and tenants. Control seals a value before it
-- comes here, under a data key of its scope, and that under a key that is in no
-- database. Only control's own role reads what is sealed.

-- The key that a scope's values are sealed with, itself sealed.
CREATE TABLE ops.data_keys (
    id             uuid PRIMARY KEY,
    project_id     uuid NOT NULL REFERENCES ops.projects,
    environment_id uuid,
    tenant_id      uuid,
    -- A nonce, 32 bytes and their tag.
    wrapped        bytea NOT NULL CHECK (length(wrapped) = 60),
    -- The name of the key-encryption key.
    wrapped_by     text NOT NULL CHECK (wrapped_by ~ '^[0-9a-f]{8}$'),
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT data_keys_one_a_scope UNIQUE NULLS NOT DISTINCT (project_id, environment_id, tenant_id),
    -- The environment is one of the project, the tenant one of the environment.
    FOREIGN KEY (project_id, environment_id) REFERENCES ops.environments (project_id, id),
    FOREIGN KEY (environment_id, tenant_id) REFERENCES ops.tenants (environment_id, id),
    CONSTRAINT data_keys_tenant_has_environment CHECK (tenant_id IS NULL OR environment_id IS NOT NULL)
);

CREATE INDEX data_keys_environment ON ops.data_keys (environment_id);
CREATE INDEX data_keys_tenant ON ops.data_keys (tenant_id);

-- A name in a scope. It outlives its removal: a version never comes again.
CREATE TABLE ops.secrets (
    id             uuid PRIMARY KEY,
    project_id     uuid NOT NULL REFERENCES ops.projects,
    environment_id uuid,
    tenant_id      uuid,
    name           text NOT NULL CHECK (name ~ '^[A-Z][A-Z0-9_]{0,62}$'),
    -- Of the present value.
    version        bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    removed_at     timestamptz,
    CONSTRAINT secrets_one_name UNIQUE NULLS NOT DISTINCT (project_id, environment_id, tenant_id, name),
    FOREIGN KEY (project_id, environment_id) REFERENCES ops.environments (project_id, id),
    FOREIGN KEY (environment_id, tenant_id) REFERENCES ops.tenants (environment_id, id),
    CONSTRAINT secrets_tenant_has_environment CHECK (tenant_id IS NULL OR environment_id IS NOT NULL)
);

CREATE INDEX secrets_environment ON ops.secrets (environment_id);
CREATE INDEX secrets_tenant ON ops.secrets (tenant_id);

-- Its last values: the earlier ones are kept to be redacted where a program
-- still says them.
CREATE TABLE ops.secret_versions (
    secret_id   uuid NOT NULL REFERENCES ops.secrets,
    version     bigint NOT NULL CHECK (version > 0),
    data_key_id uuid NOT NULL REFERENCES ops.data_keys,
    -- A nonce, the value and its tag; bound to scope, name and version.
    sealed      bytea NOT NULL CHECK (length(sealed) BETWEEN 29 AND 32796),
    -- Tells values of one scope apart; a hash under its key, so that it does
    -- not help to guess them.
    fingerprint text NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{16}$'),
    set_by      text NOT NULL DEFAULT ops.requester(),
    set_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (secret_id, version)
);

CREATE INDEX secret_versions_data_key ON ops.secret_versions (data_key_id);

-- One row that every change moves, by which processes notice it.
CREATE TABLE ops.secrets_changed (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    stamp    bigint NOT NULL
);
INSERT INTO ops.secrets_changed (stamp) VALUES (0);

CREATE FUNCTION ops.secrets_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE ops.secrets_changed SET stamp = stamp + 1;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION ops.secrets_change() FROM PUBLIC;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON ops.secret_versions
    FOR EACH STATEMENT EXECUTE FUNCTION ops.secrets_change();

SELECT ops.secure_tables();

-- Data keys and the stamp are control's alone: no policy, no grant for others.
GRANT SELECT, INSERT, UPDATE (wrapped, wrapped_by) ON ops.data_keys TO heddle_control;
GRANT SELECT ON ops.secrets_changed TO heddle_control;

-- Members see which secrets there are; administrators set and remove them.
-- Nobody but control reads `sealed`. Workers ask control.
GRANT SELECT, INSERT, UPDATE (version, removed_at) ON ops.secrets TO heddle_control, heddle_user;
CREATE POLICY seen ON ops.secrets FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
CREATE POLICY made ON ops.secrets FOR INSERT TO heddle_user
    WITH CHECK (project_id IN (SELECT ops.my_projects('administer')));
CREATE POLICY changed ON ops.secrets FOR UPDATE TO heddle_user
    USING (project_id IN (SELECT ops.my_projects('administer')));

GRANT SELECT, INSERT, DELETE ON ops.secret_versions TO heddle_control;
GRANT SELECT (secret_id, version, data_key_id, fingerprint, set_by, set_at) ON ops.secret_versions TO heddle_user;
GRANT INSERT (secret_id, version, data_key_id, sealed, fingerprint), DELETE ON ops.secret_versions TO heddle_user;
CREATE POLICY seen ON ops.secret_versions FOR SELECT TO heddle_user
    USING (EXISTS (SELECT FROM ops.secrets s WHERE s.id = secret_id));
CREATE POLICY made ON ops.secret_versions FOR INSERT TO heddle_user
    WITH CHECK (secret_id IN (SELECT s.id FROM ops.secrets s
                              WHERE s.project_id IN (SELECT ops.my_projects('administer'))));
CREATE POLICY removed ON ops.secret_versions FOR DELETE TO heddle_user
    USING (secret_id IN (SELECT s.id FROM ops.secrets s
                         WHERE s.project_id IN (SELECT ops.my_projects('administer'))));
