SELECT vulkan.alter_group($1, $2, max_attempts => $3, backoff_initial => $4, backoff_max => $5, lease => $6, on_dead => $7)
