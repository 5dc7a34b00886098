SELECT vulkan.set_breaker($1, $2, failure_percent => $3, min_attempts => $4, time_window => $5, pause => $6, max_pause => $7, probes => $8)
