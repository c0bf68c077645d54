-- Whoever may not even test it finds nothing. $1 id
SELECT state FROM ops.lock_tenant($1) AS state WHERE state IS NOT NULL
