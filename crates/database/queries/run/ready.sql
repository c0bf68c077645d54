-- $1 id. Its state now.
SELECT ops.ready_run($1) AS state
