SELECT due, passed, overdue FROM ops.tend_queue()
