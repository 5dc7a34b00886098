SELECT count(*) FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.application_name = 'vulkan' AND a.state LIKE 'idle in transaction%'
  AND a.state_change < clock_timestamp() - interval '1 s'
