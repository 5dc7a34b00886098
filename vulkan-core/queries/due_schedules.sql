SELECT schedule, revision, cron, time_zone, due, since, at_once, now FROM vulkan.due_schedules($1, $2)
