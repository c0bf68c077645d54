-- $1 id
SELECT ops.use_approval($1)
