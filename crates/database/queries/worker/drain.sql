-- $1 name, $2 whether it drains
SELECT ops.drain_worker($1, $2)
