SELECT s.name AS stream, e."offset", e.kind, e.partition_key AS key, e.payload, e.headers, e.created_at AS published_at, e.deliver_at
FROM vulkan.events e
JOIN vulkan.streams s ON s.stream_id = e.stream_id
WHERE $1::text IS NULL OR s.name = $1
ORDER BY e."offset"
