SELECT (SELECT coalesce(sum(t.n_dead_tup), 0)::bigint FROM pg_stat_user_tables t WHERE t.schemaname = 'vulkan'),
       (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - a.xact_start)), 0)::float8 FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid()),
       (SELECT count(*) FROM pg_stat_activity a WHERE a.datname = current_database()),
       (SELECT coalesce(string_agg(w.event || ' ' || w.many, ' ' ORDER BY w.many DESC), '')
        FROM (SELECT a.wait_event AS event, count(*) AS many FROM pg_stat_activity a
              WHERE a.state = 'active' AND a.wait_event IS NOT NULL GROUP BY 1) w)
