SELECT vulkan.delete_schedule($1)
