SELECT vulkan.commit_cursor($1, $2, $3, was_read => $4)
