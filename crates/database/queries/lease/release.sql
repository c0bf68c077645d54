-- $1 run
DELETE FROM ops.leases WHERE run_id = $1
