SELECT vulkan.fire_schedule($1, $2, $3, $4, $5)
