SELECT bool_and(vulkan.is_drained('flights', g.name)) FROM vulkan.groups g WHERE g.mode = 'lifecycle'
