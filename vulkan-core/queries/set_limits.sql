SELECT vulkan.set_limits($1, $2, max_in_flight => $3, max_in_flight_per_prefix => $4, prefix_delimiter => $5, rate => $6, burst => $7)
