SELECT g.group_id, g.stream_id, g.max_attempts, g.lease,
       g.max_in_flight IS NOT NULL OR g.prefixed OR g.rate IS NOT NULL
FROM vulkan.groups g WHERE g.group_id = ANY ($1)
