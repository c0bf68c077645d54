-- What a worker's host serves or keeps. $1 worker
SELECT id, name, ordinal, subdomain, database, state, tier, max_users, max_storage_bytes,
       max_ai_operations_per_day, subscription_ends_at, version, created_at, environment_id, environment, project_id,
       build_id, tenant_database_id, cluster_id, lineage_id, cluster_state, worker_id, serving, first_backup_at, activated_at,
       shredded_at
FROM ops.tenant_details
WHERE worker_id = $1 AND cluster_state IN ('ready', 'fenced')
ORDER BY ordinal
