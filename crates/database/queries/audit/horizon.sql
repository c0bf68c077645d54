-- Up to which id everything is sealed, and up to which everything can be: the mark, once all that ran when it
-- was made has ended.
SELECT sealed, CASE WHEN marked_in < pg_snapshot_xmin(pg_current_snapshot()) THEN marked ELSE sealed END AS final,
       now() AS now
FROM ops.audit_horizon
