INSERT INTO raw_events (stream_id, kind, payload) VALUES (1, $1, $2) RETURNING "offset"
