SELECT (SELECT sum(pg_total_relation_size(t.relid))::float8 FROM pg_partition_tree('vulkan.events') t WHERE t.isleaf),
       (SELECT avg(octet_length(e.payload::text))::float8 FROM vulkan.events e)
