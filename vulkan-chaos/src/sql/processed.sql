SELECT consumer_group, count(*) AS messages FROM vulkan.deliveries
WHERE status = 'done' GROUP BY consumer_group
