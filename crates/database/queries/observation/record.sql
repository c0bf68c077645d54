-- $1 worker, then one array each: $2 tenants, $3 serving, $4 http, $5 gevent, $6 router keys, $7 cell ports.
-- Of tenants that another worker's host serves, nothing is taken. Rows that say the same are left alone.
INSERT INTO ops.tenant_observations AS o (tenant_id, serving, http, gevent, router_key, cell_port)
SELECT s.tenant_id, s.serving, s.http, s.gevent, s.router_key, s.cell_port
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[])
     AS s (tenant_id, serving, http, gevent, router_key, cell_port)
JOIN ops.tenant_details t ON t.id = s.tenant_id AND (t.worker_id IS NULL OR t.worker_id = $1)
ORDER BY s.tenant_id
ON CONFLICT (tenant_id) DO UPDATE
SET serving = excluded.serving, http = excluded.http, gevent = excluded.gevent,
    router_key = excluded.router_key, cell_port = excluded.cell_port, changed_at = now()
WHERE (o.serving, o.http, o.gevent, o.router_key, o.cell_port)
      IS DISTINCT FROM (excluded.serving, excluded.http, excluded.gevent, excluded.router_key, excluded.cell_port)
