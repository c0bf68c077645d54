-- A schedule that has run, and a maintenance window.
INSERT INTO ops.schedules (id, project_id, environment_id, name, action, cron, zone, catch_up, next_at, planned_at, last_at, last_run_id) VALUES
    ('01900000-0000-7000-8000-000000012001', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-0000000000e1',
     'nightly', 'snapshot', '30 2 * * *', 'Europe/Brussels', 'once', now() + interval '1 day', now(), now(),
     '01900000-0000-7000-8000-000000008803');
INSERT INTO ops.maintenance_windows (id, project_id, name, cron, zone, minutes) VALUES
    ('01900000-0000-7000-8000-000000012011', '01900000-0000-7000-8000-0000000000a1', 'sundays', '0 3 * * 0', 'UTC', 120);
