-- $1 worker, $2 those that nothing is left of there
UPDATE ops.peeks
SET state = 'ended', ended_at = now(),
    reason = COALESCE(reason, CASE WHEN expires_at <= now() + interval '5 seconds' THEN 'its time is over'
                                   ELSE 'it ended early: its worker was started again, or its cluster has stopped' END)
WHERE worker_id = $1 AND id = ANY ($2) AND state IN ('open', 'ending')
