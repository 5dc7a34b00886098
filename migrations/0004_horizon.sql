-- The last stable offset: up to where a stream can be read without ever skipping a late commit.

-- Three steps, each a statement of its own: read the sequence, then the floors, then (the caller)
-- the events, under a snapshot taken after both. A publisher not seen among the floors has either
-- committed, and the later snapshot sees it, or has yet to draw an offset, which will be above the
-- sequence's value read first. Postgres makes a transaction visible before it releases its locks.
CREATE FUNCTION vulkan.horizon(stream_id integer, OUT lso bigint, OUT pending boolean)
LANGUAGE plpgsql AS $$
DECLARE
    lowest        bigint;
    ours          CONSTANT oid := (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
    lowest_class  CONSTANT oid := 1442840576 + (stream_id << 8);
    highest_class CONSTANT oid := 1442840576 + (stream_id << 8) + 255;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the log cannot be read safely in a % transaction', current_setting('transaction_isolation')
            USING ERRCODE = 'VK004', HINT = 'Use READ COMMITTED: an older snapshot can miss events below the horizon.';
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the log cannot be read safely on a standby'
            USING ERRCODE = 'VK004', HINT = 'Connect to the primary: a standby does not know the publishers in flight.';
    END IF;
    SELECT last_value INTO lso FROM vulkan.offset_seq;
    -- As floors(), which would be planned at each call.
    SELECT min(lso + 549755813888
               - ((lso - (((l.classid::bigint & 255) << 32) | l.objid::bigint) + 549755813888) & 1099511627775))
    INTO lowest
    FROM pg_lock_status() l
    WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND l.database = ours
      AND l.classid BETWEEN lowest_class AND highest_class;
    pending := lowest IS NOT NULL;
    lso := least(lso, lowest);
END $$;
COMMENT ON FUNCTION vulkan.horizon(integer) IS 'The last stable offset of a stream (lso), and whether publishers are in flight (pending). Read events up to it in a later statement, never in the same one. READ COMMITTED and the primary only, else VK004.';

-- The 40 low bits stand for the value nearest to the sequence's that ends in them. Mostly that is one
-- below it; but a publisher that came after the sequence was read has its floor above.
CREATE FUNCTION vulkan.floors(stream_id integer, upper bigint)
RETURNS TABLE (pid integer, floor bigint)
LANGUAGE sql VOLATILE AS $$
    SELECT l.pid, upper + 549755813888
        - ((upper - (((l.classid::bigint & 255) << 32) | l.objid::bigint) + 549755813888) & 1099511627775)
    FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND l.classid BETWEEN (1442840576 + (floors.stream_id << 8))::oid
                        AND (1442840576 + (floors.stream_id << 8) + 255)::oid
$$;
COMMENT ON FUNCTION vulkan.floors(integer, bigint) IS 'Internal. The floors that publishers of a stream have announced, unwrapped against the sequence''s value.';

CREATE FUNCTION vulkan.lso(stream text) RETURNS bigint
LANGUAGE sql VOLATILE AS $$
    SELECT h.lso FROM vulkan.horizon(vulkan.stream_id(stream)) h
$$;
COMMENT ON FUNCTION vulkan.lso(text) IS 'The last stable offset of a stream: no event at or below it will ever appear later.';

CREATE VIEW vulkan.lso_holders AS
SELECT s.name AS stream, f.floor, f.pid, a.usename AS username, a.application_name, a.state,
       clock_timestamp() - a.xact_start AS age, a.query
FROM vulkan.streams s
CROSS JOIN LATERAL vulkan.floors(s.stream_id, (SELECT last_value FROM vulkan.offset_seq)) f
LEFT JOIN pg_stat_activity a ON a.pid = f.pid;
COMMENT ON VIEW vulkan.lso_holders IS 'Who holds a stream''s last stable offset back: the unfinished publishers, their pid, how long their transaction is open, and what it ran last. A NULL pid is a prepared transaction.';

