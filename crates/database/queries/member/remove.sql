-- $1 project, $2 user. What was granted in its environments goes too, if it may be taken.
WITH removed AS (
    DELETE FROM ops.project_members WHERE project_id = $1 AND user_id = $2 RETURNING user_id
), taken AS (
    DELETE FROM ops.env_permissions g USING ops.environments e, removed
    WHERE e.id = g.environment_id AND e.project_id = $1 AND g.user_id = removed.user_id
)
SELECT user_id FROM removed
