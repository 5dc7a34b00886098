INSERT INTO chaos.payments (event_offset, order_id) VALUES ($1, $2)
