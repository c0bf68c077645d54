-- Retention: what is said of snapshots reaches the repository, what was dropped
-- there is known here, and tenants are shredded.

ALTER TABLE ops.snapshots
    ADD note text CONSTRAINT snapshots_note_short CHECK (length(note) BETWEEN 1 AND 500),
    -- Kept until that is taken back, whatever its expiry.
    ADD pinned boolean NOT NULL DEFAULT false,
    -- Grows with each change of the note, the pin or the expiry; and the one that
    -- the repository has heard of. The snapshot's own run tells it the first.
    ADD terms bigint NOT NULL DEFAULT 1,
    ADD terms_kept bigint NOT NULL DEFAULT 1,
    ADD CONSTRAINT snapshots_terms_in_order CHECK (terms_kept BETWEEN 1 AND terms);
COMMENT ON COLUMN ops.snapshots.note IS 'audited';
COMMENT ON COLUMN ops.snapshots.terms_kept IS 'not audited: what was said is, and this only that it was heard';
CREATE INDEX snapshots_terms ON ops.snapshots (tenant_id) WHERE terms_kept < terms;
DROP INDEX ops.snapshots_expiry;
CREATE INDEX snapshots_expiry ON ops.snapshots (expires_at) WHERE state IN ('ready', 'failed') AND NOT pinned;
GRANT UPDATE (note, pinned, terms) ON ops.snapshots TO heddle_control, heddle_user;
GRANT UPDATE (terms_kept) ON ops.snapshots TO heddle_control, heddle_worker;

-- When retention dropped it from the repository.
ALTER TABLE ops.base_backups ADD dropped_at timestamptz;
GRANT UPDATE (dropped_at) ON ops.base_backups TO heddle_control, heddle_worker;
CREATE POLICY dropped ON ops.base_backups FOR UPDATE TO heddle_worker
    USING (tenant_id IN (SELECT ops.held_tenants()));

-- When its key was destroyed, and all that there was of it removed.
ALTER TABLE ops.tenants
    ADD shredded_at timestamptz,
    ADD CONSTRAINT tenants_shredded_archived CHECK (shredded_at IS NULL OR state = 'archived');
GRANT UPDATE (shredded_at) ON ops.tenants TO heddle_control, heddle_worker;

CREATE OR REPLACE VIEW ops.tenant_details WITH (security_invoker = true) AS
SELECT t.id, t.name, t.ordinal, t.subdomain, t.database, t.state, t.tier, t.max_users, t.max_storage_bytes,
       t.max_ai_operations_per_day, t.subscription_ends_at, t.version, t.created_at, t.archived_at,
       e.id AS environment_id, p.name || '/' || e.name AS environment, e.project_id, e.build_id,
       td.id AS tenant_database_id, td.cluster_id, td.lineage_id,
       c.state AS cluster_state, c.worker_id,
       COALESCE(o.serving, CASE t.state WHEN 'active' THEN 'starting' WHEN 'provisioning' THEN 'starting'
                                        ELSE 'stopped' END) AS serving,
       o.http, o.gevent, o.router_key, o.cell_port,
       (SELECT min(b.stopped_at) FROM ops.base_backups b WHERE b.tenant_id = t.id AND b.dropped_at IS NULL)
           AS first_backup_at,
       l.activated_at, t.shredded_at
FROM ops.tenants t
JOIN ops.environments e ON e.id = t.environment_id
JOIN ops.projects p ON p.id = e.project_id
LEFT JOIN ops.tenant_databases td ON td.id = t.tenant_database_id
LEFT JOIN ops.clusters c ON c.id = td.cluster_id
LEFT JOIN ops.lineages l ON l.id = td.lineage_id
LEFT JOIN ops.tenant_observations o ON o.tenant_id = t.id;

CREATE OR REPLACE VIEW ops.snapshot_details WITH (security_invoker = true) AS
SELECT s.id, s.tenant_id, t.name AS tenant, s.name, s.state, s.kind, s.lineage_id, s.lsn, s.wal_file, s.backup_id,
       s.size, s.missing_files, s.taken_at, s.expires_at, s.created_at,
       (SELECT r.id FROM ops.runs r WHERE r.snapshot_id = s.id ORDER BY r.id DESC LIMIT 1) AS run_id,
       s.note, s.pinned, s.terms
FROM ops.snapshots s
JOIN ops.tenants t ON t.id = s.tenant_id;

-- One more kind of run. Only who administers may ask for it, anywhere.
ALTER TABLE ops.run_kinds
    DROP CONSTRAINT run_kinds_kind_written,
    ADD CONSTRAINT run_kinds_kind_written
        CHECK (kind IN ('build', 'provision', 'backup', 'snapshot', 'plan_restore', 'restore', 'expire', 'shred',
                        'probe')),
    DROP CONSTRAINT run_kinds_permission_check,
    ADD CONSTRAINT run_kinds_permission_check CHECK (permission IN ('test', 'develop', 'administer', 'nobody'));
ALTER TABLE ops.runs
    DROP CONSTRAINT runs_kind_written,
    ADD CONSTRAINT runs_kind_written
        CHECK (kind IN ('build', 'provision', 'backup', 'snapshot', 'plan_restore', 'restore', 'expire', 'shred',
                        'probe'));
INSERT INTO ops.run_kinds (kind, worker, permission, priority, deadline, max_attempts, alone) VALUES
    ('shred', 'backup', 'administer', 'normal', '2 hours', 1, true);

ALTER TABLE ops.policies
    DROP CONSTRAINT policies_act_written,
    ADD CONSTRAINT policies_act_written
        CHECK (act IN ('restore', 'snapshot', 'provision', 'archive_tenant', 'shred_tenant', 'destroy_environment',
                       'set_secret', 'change_policy'));
ALTER TABLE ops.approvals
    DROP CONSTRAINT approvals_act_written,
    ADD CONSTRAINT approvals_act_written
        CHECK (act IN ('restore', 'snapshot', 'provision', 'archive_tenant', 'shred_tenant', 'destroy_environment',
                       'set_secret', 'change_policy'));

ALTER TABLE ops.schedules
    DROP CONSTRAINT schedules_action_written,
    ADD CONSTRAINT schedules_action_written CHECK (action IN ('snapshot', 'backup', 'expire', 'probe'));

SELECT ops.audit_tables();
