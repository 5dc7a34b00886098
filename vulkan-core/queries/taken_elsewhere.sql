SELECT vulkan.taken_elsewhere($1, $2, $3)
