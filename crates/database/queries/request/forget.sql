-- Nobody asks again after so long.
DELETE FROM ops.requests WHERE made_at < now() - interval '30 days'
