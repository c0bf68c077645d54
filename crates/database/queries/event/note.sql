-- Control's own word. $1 run, $2 level, $3 message
SELECT ops.append_event($1, $2, $3) IS NULL AS said
