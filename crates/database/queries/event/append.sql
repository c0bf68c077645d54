-- One element a run: $1 runs, $2 fences, $3 numbers of their last events, $4 progress; one an event: $5 whose, $6 its
-- number, $7 times, $8 levels, $9 messages, $10 progress, $11 payloads. $12 their last words. The runs that are not
-- held so.
SELECT stale FROM ops.append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS stale
