SELECT vulkan_testing.advance($1)
