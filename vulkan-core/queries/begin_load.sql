SELECT vulkan.events_of($1)::text, clock_timestamp()
