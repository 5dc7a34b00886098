SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid)) FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.application_name <> 'faults' AND a.backend_type = 'client backend'
