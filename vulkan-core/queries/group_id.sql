SELECT vulkan.group_id($1, $2)
