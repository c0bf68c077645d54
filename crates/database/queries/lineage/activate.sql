-- From now on its tenant serves it; said again, it stays with the first time. $1 id
UPDATE ops.lineages SET activated_at = COALESCE(activated_at, clock_timestamp()) WHERE id = $1
RETURNING activated_at
