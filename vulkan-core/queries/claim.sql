SELECT "offset", kind, partition_key, payload, headers, published_at, attempt, token, claim_hi, lane, solo
FROM vulkan.claim($1, $2, max_messages => $3, max_lanes => $4, take_solo => $5)
