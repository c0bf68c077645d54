SELECT id, name, created_at FROM ops.projects ORDER BY name
