SELECT * FROM vulkan.settle($1, ARRAY[$2::bigint], ARRAY[$3::bigint])
