TRUNCATE chaos.acked, chaos.handled
