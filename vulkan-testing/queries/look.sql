SELECT stream, consumer_group, made, processing, due, pending, extract(epoch FROM due_in)::float8 AS due_in, claimed, ticks
FROM vulkan_testing.look($1, $2)
