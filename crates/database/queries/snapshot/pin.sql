-- $1 id, $2 whether it is pinned; one that can be restored to, or will be
UPDATE ops.snapshots SET pinned = $2, terms = terms + 1
WHERE id = $1 AND state IN ('creating', 'ready', 'restoring') AND pinned <> $2
