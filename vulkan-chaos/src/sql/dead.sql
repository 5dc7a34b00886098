SELECT consumer_group, count(*) AS messages FROM vulkan.deliveries
WHERE status = 'dead' GROUP BY consumer_group
