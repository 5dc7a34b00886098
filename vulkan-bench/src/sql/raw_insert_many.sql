INSERT INTO raw_events (stream_id, kind, payload) SELECT 1, * FROM unnest($1::text[], $2::jsonb[]) RETURNING "offset"
