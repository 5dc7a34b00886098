SELECT stream, consumer_group, status, attempts, max_attempts, last_error, run_at, worker, claimed_at, lease_until, updated_at
FROM vulkan.inspect($1)
