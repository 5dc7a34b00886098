SELECT vulkan_testing.expire_leases()
