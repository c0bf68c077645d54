-- $1 id, $2 the version it must have, or null, $3 approvals, $4 roles, $5 seconds
UPDATE ops.policies SET approvals = $3, roles = $4, expires_after = $5, version = version + 1
WHERE id = $1 AND ($2::bigint IS NULL OR version = $2)
