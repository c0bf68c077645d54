-- $1 tenant, $2 those that are not in the repository any more; null: all
UPDATE ops.base_backups SET dropped_at = now()
WHERE tenant_id = $1 AND ($2::uuid[] IS NULL OR id = ANY ($2)) AND dropped_at IS NULL
