SELECT ops.expire_approvals()
