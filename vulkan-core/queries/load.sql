COPY {events} (deliver_at, kind, partition_key, payload, headers) FROM STDIN (FORMAT binary)
