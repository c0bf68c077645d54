-- What is said of a tenant's snapshots that are in the repository. $1 tenant
SELECT id, expires_at, note, pinned OR state = 'restoring' AS pinned, terms
FROM ops.snapshots
WHERE tenant_id = $1 AND state IN ('ready', 'restoring')
ORDER BY id
