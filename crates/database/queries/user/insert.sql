-- $1 id, $2 login
INSERT INTO ops.users (id, login) VALUES ($1, $2) ON CONFLICT (login) DO NOTHING
