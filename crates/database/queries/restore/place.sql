-- $1 id, $2 the database it makes
UPDATE ops.restores SET to_database_id = $2 WHERE id = $1 AND state IN ('planned', 'materialising')
