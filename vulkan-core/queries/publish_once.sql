SELECT p."offset", p.duplicate
FROM vulkan.publish_once($1, $2, $3, partition_key => $4, headers => $5,
    deliver_at => coalesce($6, clock_timestamp() + $7), dedup_id => $8, dedup_window => $9) p
