-- $1 environment or null for all, $2 after this name or null, $3 at most
SELECT id, name, ordinal, subdomain, database, state, tier, max_users, max_storage_bytes,
       max_ai_operations_per_day, subscription_ends_at, version, created_at, environment_id, environment, project_id,
       build_id, tenant_database_id, cluster_id, lineage_id, cluster_state, worker_id, serving, first_backup_at, activated_at,
       shredded_at
FROM ops.tenant_details
WHERE ($1::uuid IS NULL OR environment_id = $1) AND ($2::text IS NULL OR name > $2)
ORDER BY name LIMIT $3
