SELECT vulkan.run_schedule_now($1)
