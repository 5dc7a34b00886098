SELECT vulkan.create_group($1, $2, mode => $3, start_at => $4, rules => coalesce($5, '[{"kind": ">"}]'),
                           max_attempts => $6, backoff_initial => $7, backoff_max => $8, lease => $9, on_dead => $10)
