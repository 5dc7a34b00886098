SELECT vulkan.publish($1, $2, $3, $4, $5, coalesce($6, clock_timestamp() + $7), $8, $9)
