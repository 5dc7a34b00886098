SELECT vulkan.put_schedule($1, $2, $3, $4, cron => $5, every => $6, time_zone => $7, missed => $8,
    grace => $9, catch_up => $10, partition_key => $11, headers => $12)
