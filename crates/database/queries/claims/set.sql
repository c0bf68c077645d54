-- Who acts, until the transaction ends. $1 user, $2 key, $3 via, $4 address, $5 request, $6 worker; '' for what is not
-- claimed
SELECT set_config('heddle.user', $1, true), set_config('heddle.key', $2, true), set_config('heddle.via', $3, true),
       set_config('heddle.address', $4, true), set_config('heddle.request', $5, true),
       set_config('heddle.worker', $6, true)
