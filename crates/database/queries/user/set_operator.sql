-- $1 id, $2 whether
UPDATE ops.users SET operator = $2, version = version + 1 WHERE id = $1
