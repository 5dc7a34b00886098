SELECT vulkan.drain_workers($1)
