-- The tables since 0009 are audited as 0009 says, and what is special about them.

COMMENT ON TABLE ops.requests IS 'not audited: what is asked twice is made once, and what was made is audited itself';
COMMENT ON TABLE ops.secrets_changed IS 'not audited: a stamp for caches; the secrets'' versions say what changed';
COMMENT ON TABLE ops.worker_disks IS 'not audited: what a worker sees, and sees again';
COMMENT ON TABLE ops.tenant_wal IS 'not audited: what a worker sees, and sees again';
COMMENT ON COLUMN ops.alerts.quiet_since IS 'not audited: it comes and goes before an alert is resolved';

DO $$
DECLARE
    named text;
BEGIN
    -- A schedule moves on by itself; the run that it queued says so.
    FOREACH named IN ARRAY ARRAY['next_at', 'planned_at', 'last_at', 'last_run_id', 'last_note'] LOOP
        EXECUTE format('COMMENT ON COLUMN ops.schedules.%I IS ''not audited: every time that it is run''', named);
    END LOOP;
    FOREACH named IN ARRAY ARRAY[
        'queue_caps.kind', 'workers.labels', 'approvals.subject', 'approvals.summary', 'approvals.requester',
        'secrets.name', 'secret_versions.set_by', 'schedules.name', 'schedules.cron', 'schedules.zone',
        'maintenance_windows.name', 'maintenance_windows.cron', 'maintenance_windows.zone', 'alerts.subject',
        'alerts.acknowledged_by']
    LOOP
        EXECUTE format('COMMENT ON COLUMN ops.%I.%I IS ''audited''', split_part(named, '.', 1), split_part(named, '.', 2));
    END LOOP;
END $$;

SELECT ops.audit_tables();
