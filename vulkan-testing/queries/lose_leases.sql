SELECT vulkan_testing.lose_leases()
