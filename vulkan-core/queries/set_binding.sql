SELECT vulkan.set_binding($1, $2, $3)
