SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
