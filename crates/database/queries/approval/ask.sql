-- $1 act, $2 project, $3 environment or null, $4 what exactly, $5 the same for people
SELECT approval, state FROM ops.ask_approval($1, $2, $3, $4, $5)
