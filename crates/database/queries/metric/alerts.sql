SELECT kind, severity, count(*) AS alerts FROM ops.alerts WHERE resolved_at IS NULL GROUP BY kind, severity
