SELECT term, cursor FROM vulkan.take_cursor($1, $2)
