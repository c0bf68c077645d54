-- Somebody looks into acme.
INSERT INTO ops.peeks (id, tenant_id, state, run_id, at, seconds, worker_id, port, opened_at, expires_at) VALUES
    ('01900000-0000-7000-8000-000000018001', '01900000-0000-7000-8000-000000000f01', 'open',
     '01900000-0000-7000-8000-000000018002', now(), 3600, '01900000-0000-7000-8000-0000000000d1', 18000, now(),
     now() + interval '1 hour');
