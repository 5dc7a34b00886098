SELECT up_to, "offset", kind, partition_key, payload, headers, published_at
FROM vulkan.read_events($1, $2, max_events => $3, group_id => $4)
