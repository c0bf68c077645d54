-- In the database that is read. What is PUBLIC's is everybody's: new objects,
-- writing where somebody has granted it, functions that act as their owners, and
-- those that make and change large objects or write to the WAL.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    LOOP
        EXECUTE pg_catalog.format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', found.nspname);
        EXECUTE pg_catalog.format(
            'REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON ALL TABLES IN SCHEMA %I FROM PUBLIC',
            found.nspname);
        EXECUTE pg_catalog.format('REVOKE USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA %I FROM PUBLIC', found.nspname);
    END LOOP;
    FOR found IN
        SELECT p.oid::pg_catalog.regprocedure AS name FROM pg_catalog.pg_proc p
        WHERE (p.prosecdef AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace)
           OR (p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
               AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_put', 'lowrite',
                                 'lo_truncate', 'lo_truncate64', 'lo_unlink', 'pg_logical_emit_message'))
    LOOP
        EXECUTE pg_catalog.format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', found.name);
    END LOOP;
END $$;
