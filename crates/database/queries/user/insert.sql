-- $1 id, $2 login, $3 whether an operator
INSERT INTO ops.users (id, login, operator) VALUES ($1, $2, $3) ON CONFLICT (login) DO NOTHING
