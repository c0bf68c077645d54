-- $1 id, $2 project, $3 name, $4 stage, $5 build
INSERT INTO ops.environments (id, project_id, name, stage, build_id) VALUES ($1, $2, $3, $4, $5)
