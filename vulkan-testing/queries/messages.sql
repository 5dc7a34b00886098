SELECT d.event_offset AS "offset", e.kind, e.partition_key AS key, d.status, d.attempts, d.max_attempts, d.last_error,
       extract(epoch FROM d.run_at - clock_timestamp())::float8 AS due_in, d.run_at, d.worker, d.claimed_at, d.lease_until, d.updated_at
FROM vulkan.deliveries d
JOIN vulkan.streams s ON s.name = d.stream
JOIN vulkan.events e ON e.stream_id = s.stream_id AND e."offset" = d.event_offset
WHERE d.stream = $1 AND d.consumer_group = $2
ORDER BY d.event_offset
