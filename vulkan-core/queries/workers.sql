SELECT name, version, library, host, pid, started_at, seen_at, state, slots, slots_used, handlers, ignored_cancellations, stuck_handlers,
       last_error, last_error_at, drain_requested_at
FROM vulkan.workers ORDER BY name
