SELECT vulkan.commit_cursor($1, $2, $3)
