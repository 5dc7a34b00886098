SELECT schedule, revision, cron, time_zone, due, since, at_once, now FROM vulkan.due_schedules()
WHERE schedule = $1 AND due IS NULL
