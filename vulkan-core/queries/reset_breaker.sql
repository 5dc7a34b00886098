SELECT vulkan.reset_breaker($1, $2)
