-- $1 id. Its state now.
SELECT ops.retry_run($1) AS state
