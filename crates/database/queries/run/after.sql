-- The runs that it waits for, or waited for. $1 id
SELECT after_id FROM ops.run_dependencies WHERE run_id = $1 ORDER BY after_id
