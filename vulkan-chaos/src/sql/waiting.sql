SELECT consumer_group, count(*) AS messages FROM vulkan.deliveries
WHERE status = 'ready' AND attempts = 0 GROUP BY consumer_group
