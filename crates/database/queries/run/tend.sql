-- $1 a lease in seconds
SELECT due, passed, overdue FROM ops.tend_queue(make_interval(secs => $1))
