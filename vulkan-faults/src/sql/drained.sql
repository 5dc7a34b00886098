SELECT coalesce(bool_and(vulkan.is_drained(s.name, g.name)), true)
FROM vulkan.groups g JOIN vulkan.streams s ON s.stream_id = g.stream_id WHERE s.name = 'load' AND g.mode = 'lifecycle'
