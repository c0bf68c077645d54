-- $1 id, $2 tier, $3 users, $4 bytes, $5 AI operations a day, $6 end of the subscription or null
UPDATE ops.tenants
SET tier = $2, max_users = $3, max_storage_bytes = $4, max_ai_operations_per_day = $5, subscription_ends_at = $6,
    version = version + 1
WHERE id = $1
