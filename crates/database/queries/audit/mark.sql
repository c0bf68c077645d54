-- Notes up to which id rows may be there by now.
SELECT ops.mark_audit()
