-- Run by an administrator before each migration; changes nothing the second time.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'heddle_owner') THEN
        CREATE ROLE heddle_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'heddle_control') THEN
        CREATE ROLE heddle_control LOGIN NOINHERIT;
    END IF;
    -- Control turns into these for what others ask of it.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'heddle_user') THEN
        CREATE ROLE heddle_user NOLOGIN NOINHERIT;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'heddle_worker') THEN
        CREATE ROLE heddle_worker NOLOGIN NOINHERIT;
    END IF;
    GRANT heddle_user, heddle_worker TO heddle_control;
    -- To count connections and see old transactions. Without it, alerts on them see less.
    IF NOT pg_has_role('heddle_owner', 'pg_read_all_stats', 'MEMBER') THEN
        BEGIN
            GRANT pg_read_all_stats TO heddle_owner;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'heddle_owner cannot be granted pg_read_all_stats';
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'heddle_owner', 'MEMBER') THEN
        EXECUTE format('GRANT heddle_owner TO %I', current_user);
    END IF;
    -- Nobody but these has business in this database.
    EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO heddle_control', current_database());
END $$;

CREATE SCHEMA IF NOT EXISTS ops AUTHORIZATION heddle_owner;
GRANT USAGE ON SCHEMA ops TO heddle_control, heddle_user, heddle_worker;
