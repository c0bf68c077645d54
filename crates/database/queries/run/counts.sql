SELECT (SELECT count(*) FROM ops.run_ready) AS queued, (SELECT count(*) FROM ops.leases) AS running
