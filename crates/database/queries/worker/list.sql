SELECT id, name, version, seen_at, gone_at FROM ops.workers ORDER BY name
