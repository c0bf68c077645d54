-- How far the repository is behind each cell, where its WAL is streamed.

ALTER TABLE ops.tenant_wal
    -- What is not durable there, and for how long there has been something;
    -- null: it is not streamed.
    ADD lag_bytes  bigint CHECK (lag_bytes >= 0),
    ADD lag_ms     bigint CHECK (lag_ms >= 0),
    -- How often the cell gave up keeping WAL for the stream.
    ADD slots_lost bigint CHECK (slots_lost >= 0),
    ADD CONSTRAINT tenant_wal_streamed CHECK (
        (lag_bytes IS NULL) = (lag_ms IS NULL) AND (lag_ms IS NULL) = (slots_lost IS NULL));

ALTER TABLE ops.alerts
    DROP CONSTRAINT alerts_kind_written,
    ADD CONSTRAINT alerts_kind_written
        CHECK (kind IN ('queue_depth', 'stale_run', 'dead_run', 'lost_worker', 'backup_failed', 'backup_overdue',
                        'production_restore', 'disk_full', 'wal_growth', 'wal_lag', 'connections',
                        'old_transaction'));
