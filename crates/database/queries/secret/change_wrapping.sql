-- Until the transaction ends no data key is made under the old key-encryption key.
SELECT pg_advisory_xact_lock(7594879113581)
