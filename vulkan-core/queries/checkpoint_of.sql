SELECT vulkan.checkpoint_of($1, $2)
