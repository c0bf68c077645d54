-- What follows in this transaction was led to by a run.
SELECT set_config('heddle.run', $1, true)
