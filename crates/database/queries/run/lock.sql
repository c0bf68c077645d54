-- $1 id
SELECT state FROM ops.runs WHERE id = $1 FOR UPDATE
