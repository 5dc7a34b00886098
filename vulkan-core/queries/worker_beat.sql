SELECT drain, coalesce(other_versions, '{}') AS other_versions
FROM vulkan.worker_beat($1, $2, state => $3, version => $4, library => $5, host => $6, pid => $7, uptime => $8, slots => $9,
                        slots_used => $10, group_ids => $11, handlers => $12, ignored_cancellations => $13, stuck_handlers => $14,
                        last_error => $15, last_error_age => $16)
