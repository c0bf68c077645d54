-- $1 id, $2 a fraction
UPDATE ops.runs SET progress = $2 WHERE id = $1 AND progress IS DISTINCT FROM $2
