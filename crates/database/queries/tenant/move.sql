-- $1 id, $2 the states it may be in, $3 the next one, $4 the database it serves from now on, or null
WITH found AS (
    SELECT id, state FROM ops.tenants WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.tenants o
    SET state = $3, tenant_database_id = COALESCE($4, o.tenant_database_id), version = o.version + 1,
        archived_at = CASE WHEN $3 = 'archived' THEN now() END
    FROM found
    WHERE o.id = found.id AND found.state = ANY ($2::text[])
    RETURNING o.id
)
SELECT found.state, EXISTS (SELECT FROM moved) AS moved FROM found
