SELECT vulkan.save_checkpoint($1, $2, $3, $4, $5)
