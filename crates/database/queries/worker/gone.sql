-- Workers that have been silent for $1 seconds, told once.
UPDATE ops.workers SET gone_at = now()
WHERE gone_at IS NULL AND seen_at < now() - make_interval(secs => $1)
RETURNING name
