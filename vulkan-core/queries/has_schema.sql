SELECT to_regclass('vulkan.meta') IS NOT NULL
