SELECT coalesce(sum(greatest(attempts - 1, 0)), 0)::bigint FROM vulkan.deliveries WHERE status = 'dead'
