-- $1 id, $2 why, if it has not begun. The state it was in.
SELECT ops.cancel_run($1, $2) AS state
