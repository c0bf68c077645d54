-- When keys were last used, many at a time. $1 ids, $2 times
UPDATE ops.api_keys k SET last_used_at = used.at
FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at)
WHERE k.id = used.id AND (k.last_used_at IS NULL OR k.last_used_at < used.at)
