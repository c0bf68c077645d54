-- $1 number, $2 name, $3 checksum
INSERT INTO ops.schema_migrations (number, name, checksum) VALUES ($1, $2, $3)
