-- One array each: $1 runs, $2 fences, $3 states, $4 reasons, $5 hints, $6 what their events say
SELECT ops.take_runs($1, $2, $3, $4, $5, $6)
