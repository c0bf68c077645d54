-- A secret of a tenant, sealed.
INSERT INTO ops.data_keys (id, project_id, environment_id, tenant_id, wrapped, wrapped_by) VALUES
    ('01900000-0000-7000-8000-000000010001', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-0000000000e1',
     '01900000-0000-7000-8000-000000000f01', decode(repeat('ab', 60), 'hex'), '0123abcd');
INSERT INTO ops.secrets (id, project_id, environment_id, tenant_id, name) VALUES
    ('01900000-0000-7000-8000-000000010011', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-0000000000e1',
     '01900000-0000-7000-8000-000000000f01', 'SMTP_PASSWORD');
INSERT INTO ops.secret_versions (secret_id, version, data_key_id, sealed, fingerprint) VALUES
    ('01900000-0000-7000-8000-000000010011', 1, '01900000-0000-7000-8000-000000010001', decode(repeat('cd', 40), 'hex'), '0123456789abcdef');
