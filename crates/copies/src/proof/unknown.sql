-- Tables that sound like a way out and have a switch, other than those that
-- Heddle's own acts and checks know.
SELECT c.relname::text, a.attname::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.atttypid = 'bool'::regtype
  AND a.attname IN ('active', 'enabled', 'is_active', 'is_enabled', 'auto_sync', 'production', 'prod_environment')
  AND c.relname ~ '(server|provider|acquirer|webhook|connector|backend|gateway|endpoint|_api$|_bot$|sync)'
  AND c.relname !~ '^ir_act_|_rel$'
  AND c.relname NOT IN ('ir_mail_server', 'fetchmail_server', 'payment_provider', 'payment_acquirer',
                        'auth_oauth_provider', 'auth_saml_provider')
ORDER BY 1, 2
