SELECT number, name, checksum FROM ops.schema_migrations ORDER BY number
