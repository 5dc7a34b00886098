SELECT vulkan.pause_schedule($1)
