-- What is wrong with the server, as far as what Vulkan promises depends on it.

CREATE FUNCTION vulkan.doctor() RETURNS TABLE (problem text, severity text, detail text, remedy text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    oldest record;
BEGIN
    IF current_setting('fsync') = 'off' THEN
        RETURN QUERY SELECT 'fsync', 'danger', 'fsync is off: a crash of the machine can lose what was acknowledged, and corrupt the database',
            'ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();';
    END IF;
    IF current_setting('full_page_writes') = 'off' THEN
        RETURN QUERY SELECT 'full_page_writes', 'danger', 'full_page_writes is off: a crash of the machine can corrupt the database',
            'ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();';
    END IF;
    -- As it is for whoever connects: functions of ours set it off for themselves alone.
    IF current_setting('synchronous_commit') = 'off' THEN
        RETURN QUERY SELECT 'synchronous_commit', 'danger',
            'synchronous_commit is off: a crash of the server can lose events whose publish was acknowledged',
            format('Set it on where it was set off: ALTER SYSTEM, ALTER DATABASE %I, ALTER ROLE %I, or the connection''s options.', current_database(), current_user);
    ELSIF current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') = 'local' THEN
        RETURN QUERY SELECT 'synchronous_commit', 'warning',
            'synchronous_commit is local: a failover to a standby can lose events whose publish was acknowledged',
            'Set synchronous_commit = on.';
    END IF;
    IF current_setting('autovacuum') = 'off' THEN
        RETURN QUERY SELECT 'autovacuum', 'warning', 'autovacuum is off: tables of the lifecycle grow without end',
            'ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();';
    END IF;
    IF pg_is_in_recovery() THEN
        RETURN QUERY SELECT 'standby', 'danger', 'this server is a standby: nothing can be claimed here', 'Connect to the primary.';
    END IF;
    IF (SELECT s.seqcache <> 1 FROM pg_sequence s WHERE s.seqrelid = 'vulkan.offset_seq'::regclass) THEN
        RETURN QUERY SELECT 'offset_seq', 'danger', 'vulkan.offset_seq caches offsets: readers can skip events',
            'ALTER SEQUENCE vulkan.offset_seq CACHE 1;';
    END IF;
    RETURN QUERY
        SELECT 'default partition', 'danger', format('%s is a default partition: no partition can be made or retired without stopping publishers', c.oid::regclass),
               format('Move its rows, then: DROP TABLE %s;', c.oid::regclass)
        FROM pg_class c
        WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relispartition AND pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT';
    RETURN QUERY
        SELECT 'partitions', 'danger', format('stream "%s" has no partition for the next slot: publishing ends with this one', s.name),
               'SELECT * FROM vulkan.maintain(); then look why no worker calls it.'
        FROM vulkan.streams s
        WHERE EXISTS (SELECT FROM vulkan.partitions_missing(s.stream_id, (SELECT q.last_value / 1000000000 + 1 FROM vulkan.offset_seq q)));
    RETURN QUERY
        SELECT 'index', 'danger', format('index %s is not valid', i.indexrelid::regclass), format('REINDEX INDEX CONCURRENTLY %s;', i.indexrelid::regclass)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'vulkan'::regnamespace AND NOT i.indisvalid;
    IF pg_notification_queue_usage() > 0.1 THEN
        RETURN QUERY SELECT 'notifications', 'warning', format('the notification queue is %s %% full: somebody listens inside a long transaction', round(pg_notification_queue_usage() * 100)),
            'Find it in pg_stat_activity by its LISTEN, and end it.';
    END IF;
    SELECT a.pid, clock_timestamp() - a.xact_start AS age INTO oldest FROM pg_stat_activity a
    WHERE a.xact_start < clock_timestamp() - interval '10 minutes' AND a.backend_type = 'client backend' ORDER BY a.xact_start LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT 'old transaction', 'warning', format('the transaction of process %s is %s old: nothing that became dead since can be cleaned away', oldest.pid, date_trunc('second', oldest.age)),
            format('SELECT pg_terminate_backend(%s);', oldest.pid);
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.doctor() IS 'What is wrong with the server as far as the promises of Vulkan depend on it: a row for each problem, with severity (danger: messages can be lost or nothing can be done; warning: it will get slow) and what to do about it. None on a sound server. Quick, and reads no events. Workers ask it when they start, and log what it says.';
