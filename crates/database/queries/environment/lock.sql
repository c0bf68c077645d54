-- Held against those who put tenants into it. $1 id
SELECT version FROM ops.environments WHERE id = $1 FOR UPDATE
