-- $1 id
UPDATE ops.tenants SET shredded_at = COALESCE(shredded_at, now()), version = version + 1
WHERE id = $1 AND state = 'archived'
