SELECT schema_version, min_compatible FROM vulkan.meta
