-- $1 a role. What it could still write, or make, in this database.
SELECT 'the database ' || current_database() AS what
WHERE has_database_privilege($1::name, current_database(), 'CREATE')
   OR has_database_privilege($1::name, current_database(), 'TEMP')
UNION ALL
SELECT 'the schema ' || n.nspname FROM pg_namespace n WHERE has_schema_privilege($1::name, n.oid, 'CREATE')
UNION ALL
SELECT 'the relation ' || c.oid::regclass
FROM pg_class c
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  -- A SET in other words.
  AND c.oid <> 'pg_settings'::regclass
  AND (has_table_privilege($1::name, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
       OR has_any_column_privilege($1::name, c.oid, 'INSERT, UPDATE'))
UNION ALL
SELECT 'the sequence ' || c.oid::regclass FROM pg_class c
WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege($1::name, c.oid, 'USAGE, UPDATE') END
UNION ALL
SELECT 'by the function ' || p.oid::regprocedure
FROM pg_proc p
WHERE p.prosecdef AND has_function_privilege($1::name, p.oid, 'EXECUTE')
UNION ALL
SELECT 'as the role ' || r.rolname FROM pg_roles r
WHERE r.rolname NOT IN ($1::name, 'pg_read_all_data') AND pg_has_role($1::name, r.oid, 'MEMBER')
ORDER BY what
LIMIT 20
