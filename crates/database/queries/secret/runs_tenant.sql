-- Whether a worker runs a tenant: it holds a run of it, or its database is on the worker's host. $1 worker, $2 tenant
SELECT EXISTS (SELECT FROM ops.leases l WHERE l.worker_id = $1 AND l.tenant_id = $2)
    OR EXISTS (SELECT FROM ops.tenant_databases d JOIN ops.clusters c ON c.id = d.cluster_id
               WHERE d.tenant_id = $2 AND c.worker_id = $1 AND c.state <> 'dropped')
