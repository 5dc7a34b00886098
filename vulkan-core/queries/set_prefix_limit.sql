SELECT vulkan.set_prefix_limit($1, $2, $3, $4)
