UPDATE ops.snapshots SET state = 'expired' WHERE state IN ('ready', 'failed') AND expires_at < now() AND NOT pinned
