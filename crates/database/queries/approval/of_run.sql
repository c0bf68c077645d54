-- The last one that a run has asked for. $1 run
SELECT id FROM ops.approvals WHERE run_id = $1 ORDER BY asked_at DESC LIMIT 1
