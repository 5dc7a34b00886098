SELECT e."offset", (e.payload->>'id')::bigint, e.xmin::text::bigint
FROM vulkan.events e JOIN vulkan.streams s ON s.stream_id = e.stream_id
WHERE s.name = 'load' AND e.payload ? 'id'
