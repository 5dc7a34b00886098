-- The oldest snapshot held: no row version newer than it can be cleaned away.
SELECT pid, extract(epoch FROM now() - xact_start)::float8 AS seconds, (SELECT
  sum(n_dead_tup)::bigint FROM pg_stat_user_tables WHERE schemaname = 'vulkan')
  AS dead_rows FROM pg_stat_activity WHERE datname = current_database()
  AND backend_xmin IS NOT NULL AND state = 'idle in transaction'
ORDER BY xact_start LIMIT 1
