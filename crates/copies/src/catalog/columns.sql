-- Every table that holds rows, with its columns; domains are told by their base.
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS table_name,
       pg_catalog.pg_table_size(c.oid) AS bytes, c.relkind = 'p' AS partitioned,
       a.attname::text AS column_name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
       CASE WHEN t.typtype = 'd' THEN b.typname WHEN t.typtype = 'e' THEN 'enum' ELSE t.typname END::text AS base,
       NOT a.attnotnull AND NOT t.typnotnull AS nullable,
       CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS characters,
       a.attgenerated <> '' AS generated,
       EXISTS (SELECT FROM pg_catalog.pg_index i
               WHERE i.indrelid = c.oid AND i.indisunique
                 AND (a.attnum = ANY (i.indkey)
                      -- in an expression
                      OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                                 WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
                                   AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid
                                   AND d.refobjsubid = a.attnum))) AS is_unique,
       EXISTS (SELECT FROM pg_catalog.pg_constraint k
               WHERE k.conrelid = c.oid AND k.contype IN ('p', 'f') AND a.attnum = ANY (k.conkey)) AS is_key,
       (SELECT k.confrelid FROM pg_catalog.pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conkey = ARRAY[a.attnum] LIMIT 1) AS target
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
  -- what belongs to an extension comes with it
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname, c.oid, a.attnum
