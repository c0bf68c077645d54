-- Tables, columns, indexes, constraints and triggers, each as one line; what is
-- not valid says so, and so differs.
WITH spaces AS (
    SELECT oid FROM pg_catalog.pg_namespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\_%'
)
SELECT 'table ' || c.oid::regclass FROM pg_catalog.pg_class c
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace IN (SELECT oid FROM spaces)
UNION ALL
SELECT 'column ' || a.attrelid::regclass || '.' || a.attname FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND c.relnamespace IN (SELECT oid FROM spaces)
UNION ALL
SELECT 'index ' || i.indexrelid::regclass || CASE WHEN i.indisunique THEN ' (unique)' ELSE '' END
       || CASE WHEN i.indisvalid THEN '' ELSE ' (not valid)' END
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace IN (SELECT oid FROM spaces)
UNION ALL
SELECT 'constraint ' || k.conrelid::regclass || '.' || k.conname
       || CASE WHEN k.convalidated THEN '' ELSE ' (not valid)' END
FROM pg_catalog.pg_constraint k
WHERE k.conrelid <> 0 AND k.connamespace IN (SELECT oid FROM spaces)
UNION ALL
SELECT 'trigger ' || t.tgrelid::regclass || '.' || t.tgname || ' ' || t.tgenabled::text FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND c.relnamespace IN (SELECT oid FROM spaces)
