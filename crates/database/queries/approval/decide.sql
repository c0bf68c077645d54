-- $1 id, $2 decision, $3 note or null
SELECT ops.decide_approval($1, $2, $3)
