SELECT vulkan.resolve_position($1, to_offset => $2, to_time => $3, to_position => $4, to_group => $5)
