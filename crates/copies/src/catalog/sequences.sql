SELECT s.schemaname::text, s.sequencename::text, s.last_value
FROM pg_catalog.pg_sequences s
WHERE s.schemaname NOT IN ('pg_catalog', 'information_schema') AND s.schemaname NOT LIKE 'pg\_%'
ORDER BY 1, 2
