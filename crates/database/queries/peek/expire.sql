UPDATE ops.peeks SET state = 'ending', reason = 'its time is over' WHERE state = 'open' AND expires_at <= now()
