-- Whether it was written down. $1 what was tried, $2 of what
SELECT ops.audit_refusal($1, $2)
