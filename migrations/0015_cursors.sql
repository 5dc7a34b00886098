-- Bare cursors: a reading position, committed explicitly, one active reader per group.

CREATE TABLE vulkan.readers (
    group_id    integer PRIMARY KEY REFERENCES vulkan.groups ON DELETE CASCADE,
    reader      text NOT NULL,
    term        bigint NOT NULL,
    lease_until timestamptz NOT NULL
);
COMMENT ON TABLE vulkan.readers IS 'The active reader of each cursor group: a lease with a term that grows with every change of hands.';

CREATE FUNCTION vulkan.take_cursor(group_id integer, reader text) RETURNS TABLE (term bigint, cursor bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    g vulkan.groups;
BEGIN
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = take_cursor.group_id;
    IF g.mode IS DISTINCT FROM 'cursor' THEN
        RAISE EXCEPTION 'there is no cursor group with id %', group_id
            USING ERRCODE = 'VK002', HINT = 'See vulkan.groups; a lifecycle group is worked on by vulkan.claim().';
    END IF;
    INSERT INTO vulkan.readers AS r (group_id, reader, term, lease_until)
    VALUES (g.group_id, take_cursor.reader, 1, clock_timestamp() + g.lease)
    ON CONFLICT ON CONSTRAINT readers_pkey DO UPDATE
        SET reader = EXCLUDED.reader, lease_until = EXCLUDED.lease_until,
            term = r.term + (r.reader <> EXCLUDED.reader)::integer
        WHERE r.reader = EXCLUDED.reader OR r.lease_until < clock_timestamp()
    RETURNING r.term INTO term;
    IF FOUND THEN
        -- A statement of its own: the row may have been waited for, and its holder have moved the cursor.
        cursor := vulkan.cursor_of(g.group_id);
        RETURN NEXT;
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.take_cursor(integer, text) IS 'Makes the caller the active reader of a cursor group, or renews that, for the group''s lease: its term and the committed cursor. No row while another reader is active: a standby asks again. Raises VK002.';

CREATE FUNCTION vulkan.release_cursor(group_id integer, term bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    UPDATE vulkan.readers r SET lease_until = '-infinity'
    WHERE r.group_id = release_cursor.group_id AND r.term = release_cursor.term;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION vulkan.release_cursor(integer, bigint) IS 'Gives the reading up, so that a standby can take over at once.';

CREATE FUNCTION vulkan.commit_cursor(group_id integer, term bigint, up_to bigint, was_read boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    g        vulkan.groups;
    standing bigint;
    top      bigint;
    worn     boolean;
BEGIN
    PERFORM vulkan.latch(group_id);
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = commit_cursor.group_id;
    -- Held against take_cursor(), and renewed now and then: a new version with every commit would pile up
    -- while old snapshots are held.
    SELECT r.lease_until < clock_timestamp() + g.lease / 2 INTO worn FROM vulkan.readers r
    WHERE r.group_id = commit_cursor.group_id AND r.term = commit_cursor.term FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the reader of term % is not the active reader of group "%" any more', term, g.name
            USING ERRCODE = 'VK006', HINT = 'Another reader has taken over; ask for the cursor again with vulkan.take_cursor().';
    END IF;
    IF worn THEN
        UPDATE vulkan.readers r SET lease_until = clock_timestamp() + g.lease WHERE r.group_id = commit_cursor.group_id;
    END IF;
    standing := vulkan.cursor_of(group_id);
    SELECT h.lso INTO top FROM vulkan.horizon(g.stream_id) h;
    -- The last stable offset can fall back behind what was read rightly (see check()).
    IF was_read THEN
        SELECT last_value INTO top FROM vulkan.offset_seq;
    END IF;
    IF up_to > top AND up_to > standing THEN
        RAISE EXCEPTION 'offset % is not stable yet: the last stable offset is %', up_to, top
            USING ERRCODE = 'VK003', HINT = 'Commit the offset of an event that was read.';
    END IF;
    IF up_to > standing THEN
        INSERT INTO vulkan.claims (group_id, lo, hi, token, messages, origin, settled_at)
        VALUES (group_id, 0, up_to, term, 0, 'seek', clock_timestamp());
        -- The position before this one says nothing any more. By its key: a range would step over every
        -- old version while old snapshots are held.
        DELETE FROM vulkan.claims c WHERE c.group_id = commit_cursor.group_id AND c.hi = standing;
    END IF;
    RETURN greatest(up_to, standing);
END $$;
COMMENT ON FUNCTION vulkan.commit_cursor(integer, bigint, bigint, boolean) IS 'Commits a reading position: everything up to and including that offset is read. Never moves back (replay() does). May stand in the transaction that stores what was read: then both happen or neither. Returns the committed cursor. Raises VK006 if another reader has taken over, VK003 above the last stable offset, unless was_read says that read_events() handed it out.';

CREATE FUNCTION vulkan.read_events(stream_id integer, after bigint, max_events integer DEFAULT 500, max_bytes bigint DEFAULT 8388608, group_id integer DEFAULT NULL)
RETURNS TABLE (up_to bigint, "offset" bigint, kind text, partition_key text, payload jsonb, headers jsonb, published_at timestamptz)
LANGUAGE plpgsql ROWS 500 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    scan_limit CONSTANT integer := greatest(20 * max_events, 10000);
    top        bigint;
    scan_end   bigint;
    page_end   bigint;
    unfiltered CONSTANT boolean := coalesce((SELECT g.unfiltered FROM vulkan.groups g WHERE g.group_id = read_events.group_id), true);
BEGIN
    SELECT h.lso INTO top FROM vulkan.horizon(read_events.stream_id) h;
    IF after > top THEN
        PERFORM vulkan.check_position(after);
    END IF;
    IF NOT unfiltered THEN
        SELECT e."offset" INTO scan_end FROM vulkan.events e
        WHERE e.stream_id = read_events.stream_id AND e."offset" > after AND e."offset" <= top
        ORDER BY e."offset" OFFSET scan_limit - 1 LIMIT 1;
        top := coalesce(scan_end, top);
    END IF;
    SELECT CASE WHEN count(*) = max_events OR bool_or(m.bytes >= max_bytes) THEN max(m."offset") ELSE top END INTO page_end
    FROM (SELECT e."offset", e.size, sum(e.size) OVER (ORDER BY e."offset" ROWS UNBOUNDED PRECEDING) AS bytes
          FROM (SELECT x."offset", pg_column_size(x.payload) AS size FROM vulkan.events x
                WHERE x.stream_id = read_events.stream_id AND x."offset" > after AND x."offset" <= top
                  AND (unfiltered OR vulkan.is_message(read_events.group_id, x."offset", x.kind, x.headers))
                ORDER BY x."offset" LIMIT max_events) e) m
    WHERE m.bytes - m.size < max_bytes;
    IF page_end IS NULL OR page_end <= after THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT page_end, e."offset", e.kind, e.partition_key, e.payload, e.headers, e.created_at
    FROM vulkan.events e
    WHERE e.stream_id = read_events.stream_id AND e."offset" > after AND e."offset" <= page_end
      AND (unfiltered OR vulkan.is_message(read_events.group_id, e."offset", e.kind, e.headers))
    ORDER BY e."offset";
    IF NOT FOUND THEN
        up_to := page_end;
        RETURN NEXT;
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.read_events(integer, bigint, integer, bigint, integer) IS 'A page of a stream in log order, after an offset, up to the last stable offset; with a group, only the events it binds. up_to says how far the page looked: go on from there. One row without an event says that nothing up to there matched; no row, that there is nothing new. Bounded by count and by payload bytes, with at least one event. Delayed events are read like others. READ COMMITTED and the primary only, else VK004; VK010 where after is beyond the newest event there ever was.';
