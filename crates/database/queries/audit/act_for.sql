-- Who acts, in this transaction. $1 user, $2 key, $3 worker, $4 through what, $5 from where, $6 the request
SELECT set_config('heddle.user', COALESCE($1, ''), true), set_config('heddle.key', COALESCE($2, ''), true),
       set_config('heddle.worker', COALESCE($3, ''), true), set_config('heddle.via', COALESCE($4, ''), true),
       set_config('heddle.address', COALESCE($5, ''), true), set_config('heddle.request', COALESCE($6, ''), true)
