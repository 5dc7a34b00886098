SELECT vulkan.create_group($1, $2, mode => $3, start_at => $4)
