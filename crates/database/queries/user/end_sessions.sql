-- The caller's own, or as an operator. $1 user
SELECT ops.end_sessions($1)
