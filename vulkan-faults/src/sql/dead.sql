SELECT d.consumer_group, d.event_offset FROM vulkan.deliveries d WHERE d.stream = 'load' AND d.status = 'dead' ORDER BY 1, 2
