-- Whether what the caller does not see is there. $1 kind, $2 name or id
SELECT ops.is_elsewhere($1, $2) AS elsewhere
