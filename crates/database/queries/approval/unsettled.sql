SELECT id FROM ops.approvals
WHERE settled_at IS NULL AND state <> 'pending' AND run_id IS NOT NULL
ORDER BY decided_at LIMIT 100
