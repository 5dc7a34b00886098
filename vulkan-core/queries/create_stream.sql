SELECT vulkan.create_stream($1)
