SELECT vulkan.resume_schedule($1)
