-- What is wrong with the server, as far as what Vulkan promises depends on it.

CREATE FUNCTION vulkan.doctor(old_transaction interval DEFAULT '10 minutes') RETURNS TABLE (problem text, severity text, detail text, remedy text)
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
    IF (SELECT s.seqcache <> 1 OR s.seqincrement <> 1 FROM pg_sequence s WHERE s.seqrelid = 'vulkan.offset_seq'::regclass) THEN
        RETURN QUERY SELECT 'offset_seq', 'danger', 'vulkan.offset_seq draws more than one offset at a time: readers can skip events',
            'ALTER SEQUENCE vulkan.offset_seq INCREMENT 1 CACHE 1;';
    END IF;
    RETURN QUERY
        SELECT 'default partition', 'danger', format('vulkan.%I is a default partition: no partition can be made or retired without stopping publishers', c.relname),
               format('Move its rows, then: DROP TABLE vulkan.%I;', c.relname)
        FROM pg_class c
        WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relispartition AND pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT';
    RETURN QUERY
        SELECT 'partitions', 'danger', format('stream "%s" has no partition for the next slot: publishing ends with this one', s.name),
               'SELECT * FROM vulkan.maintain(); then look why no worker calls it.'
        FROM vulkan.streams s
        WHERE EXISTS (SELECT FROM vulkan.partitions_missing(s.stream_id, (SELECT q.last_value / 1000000000 + 1 FROM vulkan.offset_seq q)));
    RETURN QUERY
        SELECT 'index', 'danger', format('index vulkan.%I is not valid', c.relname), format('REINDEX INDEX CONCURRENTLY vulkan.%I;', c.relname)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'vulkan'::regnamespace AND NOT i.indisvalid;
    IF pg_notification_queue_usage() > 0.1 THEN
        RETURN QUERY SELECT 'notifications', 'warning', format('the notification queue is %s %% full: somebody listens inside a long transaction', round(pg_notification_queue_usage() * 100)),
            'Find it in pg_stat_activity by its LISTEN, and end it.';
    END IF;
    -- What keeps dead rows here: a snapshot of this database, or a transaction of any database that has written, since every snapshot
    -- that is taken here meanwhile begins at it. Not VACUUM, which nobody waits for so. Of sessions that this role may not see,
    -- the time is hidden and the transaction ids are not.
    SELECT a.pid, a.datname, clock_timestamp() - a.xact_start AS age INTO oldest
    FROM pg_stat_activity a
    WHERE a.xact_start < clock_timestamp() - old_transaction AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
      AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL AND a.datname = current_database())
      AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
    ORDER BY a.xact_start LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT 'old transaction', 'warning',
            format('the transaction of process %s in database "%s" is %s old: rows that became dead since cannot be cleaned away', oldest.pid, oldest.datname, date_trunc('second', oldest.age)),
            format('Let its program end it, or: SELECT pg_terminate_backend(%s);', oldest.pid);
    ELSE
        SELECT a.pid, a.datname, greatest(age(a.backend_xmin), age(a.backend_xid)) AS age INTO oldest
        FROM pg_stat_activity a
        WHERE a.backend_type IS NULL
          AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL AND a.datname = current_database())
          AND greatest(age(a.backend_xmin), age(a.backend_xid)) > 100000
          AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
        ORDER BY 3 DESC LIMIT 1;
        IF FOUND THEN
            RETURN QUERY SELECT 'old transaction', 'warning',
                format('the transaction of process %s in database "%s" has outlasted %s others: rows that became dead since cannot be cleaned away', oldest.pid, oldest.datname, oldest.age),
                format('See who it is as a member of pg_read_all_stats: this role (%I) may not see since when it lasts.', current_user);
        END IF;
    END IF;
    SELECT p.gid, p.database, clock_timestamp() - p.prepared AS age INTO oldest
    FROM pg_prepared_xacts p WHERE p.prepared < clock_timestamp() - old_transaction ORDER BY p.prepared LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT 'prepared transaction', 'warning',
            format('the prepared transaction %L of database "%s" is %s old: rows that became dead since cannot be cleaned away', oldest.gid, oldest.database, date_trunc('second', oldest.age)),
            format('In database "%s": COMMIT PREPARED %L; or ROLLBACK PREPARED %2$L;', oldest.database, oldest.gid);
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.doctor(interval) IS 'What is wrong with the server as far as the promises of Vulkan depend on it: a row for each problem, with severity (danger: messages can be lost or nothing can be done; warning: it will get slow) and what to do about it. None on a sound server. old_transaction: how long a transaction may last that keeps dead rows from being cleaned away. Of transactions of other roles only members of pg_read_all_stats see how long they last; to others one counts that has outlasted 100,000 transactions. It does not see what replication slots and standbys keep. Quick, and reads no events. Workers ask it when they start, and log what it says.';
