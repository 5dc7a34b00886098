SELECT group_id, event_offset, token FROM vulkan.extend($1, $2, $3, $4)
