SELECT claims, exceptions, lanes FROM vulkan.reap($1)
