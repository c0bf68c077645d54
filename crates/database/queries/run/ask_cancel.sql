-- $1 id
UPDATE ops.runs SET cancel_requested = true WHERE id = $1 AND state = 'running' AND NOT cancel_requested
