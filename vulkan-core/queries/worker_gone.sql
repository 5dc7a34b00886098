SELECT vulkan.worker_gone($1, $2)
