-- One seals at a time; false: another one does.
SELECT pg_try_advisory_xact_lock(448443151716)
