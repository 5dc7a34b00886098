SELECT consumer_group, event_offset, status, attempts FROM vulkan.deliveries WHERE stream = 'load'
