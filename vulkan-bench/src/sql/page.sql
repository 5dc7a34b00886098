SELECT "offset", kind, payload FROM vulkan.events WHERE stream_id = $1 AND "offset" > $2 ORDER BY "offset" LIMIT 500
