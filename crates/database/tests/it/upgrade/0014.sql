-- Something that was asked for once.
INSERT INTO ops.requests (requester, key, request_hash, made) VALUES
    ('user:01900000-0000-7000-8000-000000006601', 'once', sha256('a project'), '01900000-0000-7000-8000-0000000000a1');
