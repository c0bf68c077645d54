SELECT ops.may_watch()
