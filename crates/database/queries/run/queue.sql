-- One array each; what is null for all may be null: see ops.queue_runs.
-- $1 ids, $2 projects, $3 kinds, $4 requester, $5 environments, $6 tenants, $7 builds, $8 snapshots, $9 restores, $10 shas,
-- $11 refs, $12 metadata, $13 payloads, $14 priorities, $15 labels, $16 attempts, $17 deadlines, $18 times,
-- $19 unique keys, $20 idempotency keys, $21 hashes, $22 who waits, $23 for whom
SELECT asked, outcome, run
FROM ops.queue_runs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                    $22, $23)
