SELECT vulkan.release_cursor($1, $2)
