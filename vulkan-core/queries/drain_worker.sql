SELECT vulkan.drain_worker($1)
