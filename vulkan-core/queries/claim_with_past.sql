SELECT m."offset", m.kind, m.partition_key, m.payload, m.headers, m.published_at, m.attempt, m.token, m.claim_hi, m.lane, m.solo,
       m.attempt > 1 OR coalesce(vulkan.met_before($1, m."offset"), false)
FROM vulkan.claim($1, $2, max_messages => $3, max_lanes => $4, take_solo => $5) m
