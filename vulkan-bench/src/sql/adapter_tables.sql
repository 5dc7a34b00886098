-- Every table there is, as the harness names them: partitions that hold rows, not their parents, which pgstattuple refuses.
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'vulkan' AND c.relkind = 'r' ORDER BY 1
