-- Seconds for which a login is locked at an address. $1 login, $2 address
SELECT COALESCE(extract(epoch FROM locked_until - now()), 0)::double precision AS locked
FROM ops.sign_in_failures WHERE login = $1 AND address = $2
