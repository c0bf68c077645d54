-- $1 id
SELECT run, state, reason FROM ops.settle_approval($1)
