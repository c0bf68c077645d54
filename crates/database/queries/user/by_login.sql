-- The id behind a login, for whoever may make somebody a member. $1 login
SELECT id FROM ops.find_user($1) AS id WHERE id IS NOT NULL
