SELECT 'foreign server ' || srvname FROM pg_catalog.pg_foreign_server
UNION ALL
SELECT 'foreign table ' || foreign_table_name FROM information_schema.foreign_tables
