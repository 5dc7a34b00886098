SELECT group_id, due, pending, next_at - clock_timestamp() AS wait FROM vulkan.look($1)
