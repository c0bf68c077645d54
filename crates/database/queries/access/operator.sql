SELECT ops.is_operator() AS may
