-- The oldest snapshot held: no row version newer than it can be cleaned away.
SELECT a.pid, extract(epoch FROM now() - a.xact_start)::float8 AS seconds,
       (SELECT sum(t.n_dead_tup)::bigint FROM pg_stat_user_tables t
        WHERE t.schemaname = 'vulkan') AS dead_rows
FROM pg_stat_activity a WHERE a.datname = current_database()
AND a.backend_xmin IS NOT NULL AND a.state = 'idle in transaction'
ORDER BY a.xact_start LIMIT 1
