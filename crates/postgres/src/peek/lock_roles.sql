-- In the maintenance database.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT r.rolname FROM pg_catalog.pg_roles r WHERE NOT r.rolsuper AND r.rolname !~ '^pg_'
    LOOP
        EXECUTE pg_catalog.format('ALTER ROLE %I NOLOGIN PASSWORD NULL', found.rolname);
    END LOOP;
END $$;
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
