SELECT vulkan.plan_schedule($1, $2, $3)
