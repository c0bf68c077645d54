-- In the maintenance database, as the superuser that stays.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.rolname <> current_user AND r.rolname !~ '^pg_'
    LOOP
        EXECUTE pg_catalog.format('ALTER ROLE %I NOLOGIN PASSWORD NULL', found.rolname);
    END LOOP;
END $$;
ALTER ROLE CURRENT_USER PASSWORD NULL;
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
