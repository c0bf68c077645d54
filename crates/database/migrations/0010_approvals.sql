-- Policies say which acts need whose approval; approvals are asked for, decided
-- and kept here. Environments end.

-- Errors that a caller can do something about have a code of this class, and
-- say what: HD403 may not, HD404 is not there, HD409 is not in a state for it.

-- In the name of whom the present transaction acts, as `runs.requester` has it.
CREATE FUNCTION ops.requester() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN ops.claim('key') IS NOT NULL THEN 'key:' || ops.claim('key')
        WHEN ops.claim('user') IS NOT NULL THEN 'user:' || ops.claim('user')
        WHEN ops.claim('worker') IS NOT NULL THEN 'worker:' || ops.claim('worker')
        ELSE 'platform'
    END;

-- What people call a requester, where the reader may know it.
CREATE FUNCTION ops.name_of(requester text) RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE split_part(requester, ':', 1)
        WHEN 'user' THEN (SELECT u.login FROM ops.users u WHERE u.id = split_part(requester, ':', 2)::uuid)
        WHEN 'key' THEN (SELECT k.name FROM ops.api_keys k WHERE k.id = split_part(requester, ':', 2)::uuid)
    END;

-- An environment that was destroyed is kept for what refers to it. Its name is
-- free again, and so is its project's place for a production.
ALTER TABLE ops.environments ADD archived_at timestamptz;
ALTER TABLE ops.environments DROP CONSTRAINT environments_project_id_name_key;
CREATE UNIQUE INDEX environments_one_name ON ops.environments (project_id, name) WHERE archived_at IS NULL;
DROP INDEX ops.environments_one_production;
CREATE UNIQUE INDEX environments_one_production ON ops.environments (project_id)
    WHERE stage = 'production' AND archived_at IS NULL;
ALTER TABLE ops.environments ADD UNIQUE (project_id, id);
ALTER TABLE ops.tenants ADD UNIQUE (environment_id, id);
GRANT UPDATE (archived_at) ON ops.environments TO heddle_control, heddle_user;

-- A tenant is never made in one that has ended. The lock makes the two wait for each other.
CREATE FUNCTION ops.tenant_has_environment() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM FROM ops.environments e WHERE e.id = NEW.environment_id AND e.archived_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the environment was destroyed' USING ERRCODE = 'HD409', HINT = 'create another one';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION ops.tenant_has_environment() FROM PUBLIC;
CREATE TRIGGER has_environment BEFORE INSERT ON ops.tenants
    FOR EACH ROW EXECUTE FUNCTION ops.tenant_has_environment();
