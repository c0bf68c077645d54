SELECT state, count(*) AS tenants FROM ops.tenants GROUP BY state
