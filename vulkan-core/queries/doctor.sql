SELECT problem, severity = 'danger' AS is_danger, detail, remedy FROM vulkan.doctor()
