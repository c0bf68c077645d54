-- Whether a tenant got a backup since a time. $1 tenant, $2 time
SELECT EXISTS (SELECT FROM ops.base_backups WHERE tenant_id = $1 AND created_at >= $2) AS done
