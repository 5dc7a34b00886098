INSERT INTO chaos.acked (order_id, event_offset) SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING
