-- The repository has heard of what was said. $1 id, $2 tenant, $3 its terms
UPDATE ops.snapshots SET terms_kept = $3 WHERE id = $1 AND tenant_id = $2 AND terms_kept < $3 AND terms >= $3
