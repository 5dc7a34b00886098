SELECT g.group_id, g.stream_id, g.max_attempts, g.lease, g.limited
FROM vulkan.groups g WHERE g.group_id = ANY ($1)
