SELECT schedule, stream, kind, cron, every, time_zone, missed, paused_at, next_at, last_at, last_offset, last_error
FROM vulkan.schedule_overview ORDER BY schedule
