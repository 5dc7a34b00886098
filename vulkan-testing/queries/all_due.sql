SELECT vulkan_testing.all_due()
