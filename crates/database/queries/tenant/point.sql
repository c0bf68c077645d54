-- The switch. $1 id, $2 the database it must serve now, $3 the one it serves from now on
WITH found AS (
    SELECT id, tenant_database_id FROM ops.tenants WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.tenants o
    SET tenant_database_id = $3, version = o.version + 1
    FROM found
    WHERE o.id = found.id AND found.tenant_database_id = $2
    RETURNING o.id
)
SELECT found.tenant_database_id, EXISTS (SELECT FROM moved) AS moved FROM found
