SELECT current_database()::text, schema_version FROM vulkan.meta
