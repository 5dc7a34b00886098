SELECT EXISTS (
    SELECT FROM vulkan.groups g JOIN vulkan.streams s ON s.stream_id = g.stream_id
    WHERE s.name = $1 AND g.name = $2)
