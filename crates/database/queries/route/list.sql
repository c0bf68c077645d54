SELECT id, subdomain, name, state, serving, http, gevent, router_key
FROM ops.tenant_details
WHERE state <> 'draft'
ORDER BY subdomain
