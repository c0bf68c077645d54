-- $1 id, $2 wrapped, $3 by
UPDATE ops.data_keys SET wrapped = $2, wrapped_by = $3 WHERE id = $1
