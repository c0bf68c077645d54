-- $1 months ahead, $2 months kept
SELECT partition, done FROM ops.keep_event_partitions($1, $2)
