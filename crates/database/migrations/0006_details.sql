-- What is read together, joined once. The reader's own rights apply.

CREATE VIEW ops.tenant_details WITH (security_invoker = true) AS
SELECT t.id, t.name, t.ordinal, t.subdomain, t.database, t.state, t.tier, t.max_users, t.max_storage_bytes,
       t.max_ai_operations_per_day, t.subscription_ends_at, t.version, t.created_at, t.archived_at,
       e.id AS environment_id, p.name || '/' || e.name AS environment, e.project_id, e.build_id,
       td.id AS tenant_database_id, td.cluster_id, td.lineage_id,
       c.state AS cluster_state, c.worker_id,
       COALESCE(o.serving, CASE t.state WHEN 'active' THEN 'starting' WHEN 'provisioning' THEN 'starting'
                                        ELSE 'stopped' END) AS serving,
       o.http, o.gevent, o.router_key, o.cell_port,
       (SELECT min(b.stopped_at) FROM ops.base_backups b WHERE b.tenant_id = t.id) AS first_backup_at,
       l.activated_at
FROM ops.tenants t
JOIN ops.environments e ON e.id = t.environment_id
JOIN ops.projects p ON p.id = e.project_id
LEFT JOIN ops.tenant_databases td ON td.id = t.tenant_database_id
LEFT JOIN ops.clusters c ON c.id = td.cluster_id
LEFT JOIN ops.lineages l ON l.id = td.lineage_id
LEFT JOIN ops.tenant_observations o ON o.tenant_id = t.id;

CREATE VIEW ops.run_details WITH (security_invoker = true) AS
SELECT r.id, r.kind, r.state, r.project_id, p.name AS project, r.tenant_id, t.name AS tenant, r.build_id,
       r.snapshot_id, r.restore_id, r.payload, r.requester, r.request_hash, r.idempotency_key, r.attempts, r.losses,
       r.fence, r.cancel_requested, r.reason, r.hint, r.progress, r.queued_at, r.started_at, r.ended_at
FROM ops.runs r
JOIN ops.projects p ON p.id = r.project_id
LEFT JOIN ops.tenants t ON t.id = r.tenant_id;

CREATE VIEW ops.build_details WITH (security_invoker = true) AS
SELECT b.id, b.project_id, p.name AS project, b.state, b.odoo, b.python, b.addons, b.modules, b.odoo_version,
       b.created_at, (SELECT r.id FROM ops.runs r WHERE r.build_id = b.id ORDER BY r.id DESC LIMIT 1) AS run_id
FROM ops.builds b
JOIN ops.projects p ON p.id = b.project_id;

CREATE VIEW ops.snapshot_details WITH (security_invoker = true) AS
SELECT s.id, s.tenant_id, t.name AS tenant, s.name, s.state, s.kind, s.lineage_id, s.lsn, s.wal_file, s.backup_id,
       s.size, s.missing_files, s.taken_at, s.expires_at, s.created_at,
       (SELECT r.id FROM ops.runs r WHERE r.snapshot_id = s.id ORDER BY r.id DESC LIMIT 1) AS run_id
FROM ops.snapshots s
JOIN ops.tenants t ON t.id = s.tenant_id;

CREATE VIEW ops.restore_details WITH (security_invoker = true) AS
SELECT r.id, r.tenant_id, t.name AS tenant, r.state, r.snapshot_id, s.name AS snapshot, r.at, r.plan, r.shown,
       r.reason, r.created_at, td.id AS to_database_id, td.cluster_id AS to_cluster_id,
       td.lineage_id AS to_lineage_id,
       (SELECT run.id FROM ops.runs run WHERE run.restore_id = r.id ORDER BY run.id DESC LIMIT 1) AS run_id
FROM ops.restores r
JOIN ops.tenants t ON t.id = r.tenant_id
LEFT JOIN ops.snapshots s ON s.id = r.snapshot_id
LEFT JOIN ops.tenant_databases td ON td.id = r.to_database_id;

GRANT SELECT ON ops.tenant_details, ops.run_details, ops.build_details, ops.snapshot_details, ops.restore_details
    TO heddle_control;
