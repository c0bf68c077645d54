-- Until the transaction ends no other key-encryption key comes into use.
SELECT pg_advisory_xact_lock_shared(7594879113581)
