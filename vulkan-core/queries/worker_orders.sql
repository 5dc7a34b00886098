SELECT drain, group_id, event_offset, token, reason FROM vulkan.worker_orders($1, $2, $3)
