SELECT stream, consumer_group, mode, paused_at, cursor, lso, lag_messages, extract(epoch FROM lag)::float8 AS lag_seconds,
       in_flight, ready, dead, oldest_unfinished, blocked_keys, blocked_heads, lso_held_by, breaker, breaker_until
FROM vulkan.group_overview ORDER BY stream, consumer_group
