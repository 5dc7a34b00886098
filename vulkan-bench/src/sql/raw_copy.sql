COPY raw_events (stream_id, kind, payload) FROM STDIN (FORMAT binary)
