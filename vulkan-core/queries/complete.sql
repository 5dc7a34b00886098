SELECT vulkan.complete($1, $2, $3, $4)
