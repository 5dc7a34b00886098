SELECT pg_try_advisory_lock(1459617794, stream_id) FROM unnest($1::integer[]) AS asleep(stream_id)
