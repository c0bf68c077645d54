UPDATE ops.audit_horizon SET sealed = $1
