SELECT vulkan.stream_id($1)
