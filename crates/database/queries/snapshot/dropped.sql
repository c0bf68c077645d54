-- $1 tenant, $2 those that are not in the repository any more; null: all
UPDATE ops.snapshots SET state = 'expired', terms_kept = terms
WHERE tenant_id = $1 AND ($2::uuid[] IS NULL OR id = ANY ($2)) AND state IN ('ready', 'failed')
