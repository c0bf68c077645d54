-- What control's role may do beyond its work; nothing, if all is well.
SELECT what FROM (
    SELECT unnest(array_remove(ARRAY[
        CASE WHEN rolsuper THEN 'is a superuser' END,
        CASE WHEN rolcreaterole THEN 'may create roles' END,
        CASE WHEN rolcreatedb THEN 'may create databases' END,
        CASE WHEN rolreplication THEN 'may replicate' END,
        CASE WHEN rolbypassrls THEN 'bypasses row-level security' END,
        CASE WHEN pg_has_role('heddle_control', 'heddle_owner', 'MEMBER') THEN 'is a member of heddle_owner' END
    ], NULL)) AS what
    FROM pg_roles WHERE rolname = 'heddle_control'
) AS excess
