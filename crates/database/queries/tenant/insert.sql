-- $1 id, $2 environment, $3 name, $4 subdomain, $5 database, $6 state, $7 tier, $8 users, $9 bytes, $10 AI operations
INSERT INTO ops.tenants (id, environment_id, name, subdomain, database, state, tier, max_users, max_storage_bytes,
                         max_ai_operations_per_day)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
