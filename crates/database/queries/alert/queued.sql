-- Runs that a worker could take.
SELECT count(*) AS queued FROM ops.run_ready WHERE run_at IS NULL OR run_at <= now()
