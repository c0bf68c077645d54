-- $1 login, $2 address
DELETE FROM ops.sign_in_failures WHERE login = $1 AND address = $2
