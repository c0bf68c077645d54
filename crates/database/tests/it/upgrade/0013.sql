-- Alerts, and what workers have seen.
INSERT INTO ops.alerts (id, kind, subject, project_id, severity, detail, opened_at, quiet_since, acknowledged_by, acknowledged_at, resolved_at) VALUES
    ('01900000-0000-7000-8000-000000013001', 'lost_worker', 'lost', NULL, 'critical', 'it is silent', now(), NULL, NULL, NULL, NULL),
    ('01900000-0000-7000-8000-000000013002', 'backup_failed', 'acme', '01900000-0000-7000-8000-0000000000a1', 'warning',
     'the disk is full', now() - interval '1 hour', now(), 'user:01900000-0000-7000-8000-000000006601', now(), now());
INSERT INTO ops.worker_disks (worker_id, place, total, free) VALUES ('01900000-0000-7000-8000-0000000000d1', 'data', 1000, 500);
INSERT INTO ops.tenant_wal (tenant_id, bytes) VALUES ('01900000-0000-7000-8000-000000000f01', 16777216);
