SELECT consumer_group, count(*) AS messages FROM vulkan.deliveries
WHERE status = 'processing' GROUP BY consumer_group
