SELECT consumer_group, status, count(*), count(DISTINCT event_offset) FROM vulkan.deliveries GROUP BY 1, 2 ORDER BY 1, 2
