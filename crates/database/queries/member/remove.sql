-- $1 project, $2 user, $3 the version that they must have, or null. What was granted in its environments goes too.
WITH removed AS (
    DELETE FROM ops.project_members
    WHERE project_id = $1 AND user_id = $2 AND ($3::bigint IS NULL OR version = $3)
    RETURNING user_id
), taken AS (
    DELETE FROM ops.env_permissions g USING ops.environments e, removed
    WHERE e.id = g.environment_id AND e.project_id = $1 AND g.user_id = removed.user_id
)
SELECT user_id FROM removed
