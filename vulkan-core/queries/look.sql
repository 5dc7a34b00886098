SELECT group_id, due, pending, next_at - clock_timestamp() AS wait, limited FROM vulkan.look($1)
