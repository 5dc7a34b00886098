-- The invariants of the design, checked on any database with Vulkan in it.

CREATE FUNCTION vulkan.check() RETURNS TABLE (invariant integer, stream text, consumer_group text, detail text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH lifecycle AS MATERIALIZED (
        SELECT g.*, s.name AS stream_name, vulkan.cursor_of(g.group_id) AS cursor
        FROM vulkan.groups g JOIN vulkan.streams s ON s.stream_id = g.stream_id WHERE g.mode = 'lifecycle'
    ), violation AS (
        -- 1. Claims tile the log from 0 to the cursor, without gap or overlap.
        SELECT 1 AS invariant, c.group_id, format('claim (%s, %s] does not begin where the one before ends, at %s', c.lo, c.hi, c.before) AS detail
        FROM (SELECT x.group_id, x.lo, x.hi, lag(x.hi, 1, 0::bigint) OVER (PARTITION BY x.group_id ORDER BY x.hi) AS before
              FROM vulkan.claims x JOIN lifecycle g ON g.group_id = x.group_id) c
        WHERE c.lo <> c.before
        UNION ALL
        -- 1. A keyed retry that no lane will hand out is lost.
        SELECT 1, x.group_id, format('message %s waits for a lane that does not exist', x."offset")
        FROM vulkan.exceptions x
        WHERE x.status = 'ready' AND x.lane IS NOT NULL
          AND NOT EXISTS (SELECT FROM vulkan.lanes l WHERE l.group_id = x.group_id AND l.key_hash = x.lane
                          AND (x."offset" > l.head OR l.redriven))
        UNION ALL
        -- 1. An exception above the cursor can only be one that was skipped or cancelled before its turn.
        SELECT 1, x.group_id, format('message %s has status %s above the cursor %s', x."offset", x.status, g.cursor)
        FROM vulkan.exceptions x JOIN lifecycle g ON g.group_id = x.group_id
        WHERE x."offset" > g.cursor AND x.status NOT IN ('done', 'dead')
        UNION ALL
        -- 1. A checkpoint above the cursor is of a message that nobody has had.
        SELECT 1, x.group_id, format('message %s has a checkpoint above the cursor %s', x."offset", g.cursor)
        FROM vulkan.checkpoints x JOIN lifecycle g ON g.group_id = x.group_id WHERE x."offset" > g.cursor
        UNION ALL
        -- 1. Keyed messages in lanes, others not.
        SELECT 1, x.group_id, format('message %s with partition key %s has lane %s', x."offset", quote_nullable(e.partition_key), x.lane)
        FROM vulkan.exceptions x JOIN lifecycle g ON g.group_id = x.group_id
        JOIN vulkan.events e ON e.stream_id = g.stream_id AND e."offset" = x."offset"
        WHERE x.lane IS DISTINCT FROM hashtextextended(e.partition_key, 0)
        UNION ALL
        -- 1. Every lane has something to hand out, or it would stand in the way for ever.
        SELECT 1, l.group_id, format('lane %s is %s with nothing pending above %s', l.key_hash, l.status, l.head)
        FROM vulkan.lanes l
        WHERE l.status <> 'blocked'
          AND NOT EXISTS (SELECT FROM vulkan.lane_pending p WHERE p.group_id = l.group_id AND p.key_hash = l.key_hash)
          AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = l.group_id AND x.lane = l.key_hash AND x.status IN ('ready', 'done') AND l.redriven)
          AND NOT (l.status = 'processing')
        UNION ALL
        -- 1. A key has one lane: no index says so, the latch does.
        SELECT 1, k.group_id, format('key %s has %s rows, %s of them lanes', k.key_hash, count(*), count(*) FILTER (WHERE k.status <> 'drained'))
        FROM vulkan.keys k GROUP BY k.group_id, k.key_hash HAVING count(*) > 1
        UNION ALL
        -- 1. One place each: the view finds no message twice.
        SELECT 1, min(g.group_id), format('message %s is in %s places: %s', d.event_offset, count(*), string_agg(d.status, ', '))
        FROM vulkan.deliveries d JOIN lifecycle g ON g.stream_name = d.stream AND g.name = d.consumer_group
        GROUP BY d.stream, d.consumer_group, d.event_offset HAVING count(*) > 1
        UNION ALL
        -- 1. What was asked to stop is not handed out again.
        SELECT 1, c.group_id, format('message %s was asked to stop, and waits to be handed out', c."offset")
        FROM vulkan.cancel_requests c JOIN lifecycle g ON g.group_id = c.group_id
        JOIN vulkan.deliveries d ON d.stream = g.stream_name AND d.consumer_group = g.name AND d.event_offset = c."offset"
        WHERE d.status = 'ready'
        UNION ALL
        -- 2. No cursor passes what was stable. The last stable offset itself can fall back: a publisher
        -- reads the sequence, others commit and are read, and only then it announces its floor. What it
        -- will write lies above the sequence then, and so above every cursor, which is what counts.
        SELECT 2, g.group_id, format('cursor %s is above the newest offset %s', c.cursor, q.last_value)
        FROM vulkan.groups g
        CROSS JOIN LATERAL (SELECT vulkan.cursor_of(g.group_id) AS cursor) c
        CROSS JOIN vulkan.offset_seq q WHERE c.cursor > q.last_value
        UNION ALL
        -- 3. Per key at most one message in flight, and none before an earlier one is resolved.
        SELECT 3, l.group_id, format('lane %s: run (%s, %s] reaches above the cursor %s', l.key_hash, l.head, l.through, g.cursor)
        FROM vulkan.lanes l JOIN lifecycle g ON g.group_id = l.group_id WHERE l.through > g.cursor OR l.head > g.cursor
        UNION ALL
        SELECT 3, x.group_id, format('keyed message %s is in work outside its lane', x."offset")
        FROM vulkan.exceptions x WHERE x.lane IS NOT NULL AND x.status = 'processing'
        UNION ALL
        -- 4. attempts <= max attempts, and what has none left is dead.
        SELECT 4, x.group_id, format('message %s is %s after %s of %s attempts', x."offset", x.status, x.attempts, g.max_attempts)
        FROM vulkan.exceptions x JOIN lifecycle g ON g.group_id = x.group_id
        WHERE x.attempts > g.max_attempts OR (x.status = 'ready' AND x.attempts >= g.max_attempts)
        UNION ALL
        -- 9. No lane is parked while its prefix has room that nobody is about to take.
        SELECT 9, p.group_id, format('lanes of prefix %s are parked while %s of %s messages are in flight or ready', p.prefix_hash, taken.messages, most.messages)
        FROM (SELECT DISTINCT l.group_id, l.prefix_hash FROM vulkan.lanes l WHERE l.status = 'parked') p
        JOIN lifecycle g ON g.group_id = p.group_id
        CROSS JOIN LATERAL (SELECT coalesce(sum(l.held) FILTER (WHERE l.status = 'processing'), 0)
                                   + count(*) FILTER (WHERE l.status = 'ready' AND l.run_at <= clock_timestamp()) AS messages
                            FROM vulkan.lanes l WHERE l.group_id = p.group_id AND l.prefix_hash = p.prefix_hash) taken
        CROSS JOIN LATERAL (SELECT coalesce(
            (SELECT o.max_in_flight FROM vulkan.prefix_limits o WHERE o.group_id = p.group_id AND o.prefix_hash = p.prefix_hash),
            g.max_in_flight_per_prefix, 2147483647) AS messages) most
        WHERE taken.messages < most.messages
        UNION ALL
        -- 9. What is in work is counted, or a limit would be passed.
        SELECT 9, g.group_id, format('%s messages are processing, and %s are counted', d.messages, c.messages)
        FROM lifecycle g
        CROSS JOIN LATERAL (SELECT count(*) AS messages FROM vulkan.deliveries x
                            WHERE x.stream = g.stream_name AND x.consumer_group = g.name AND x.status = 'processing') d
        CROSS JOIN LATERAL (SELECT
            (SELECT coalesce(sum(x.messages), 0) FROM vulkan.claims x WHERE x.group_id = g.group_id AND x.settled_at IS NULL)
            + (SELECT count(*) FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x.status = 'processing')
            + (SELECT coalesce(sum(x.held), 0) FROM vulkan.lanes x WHERE x.group_id = g.group_id AND x.status = 'processing') AS messages) c
        WHERE d.messages > c.messages
    )
    SELECT v.invariant, s.name, g.name, v.detail
    FROM violation v JOIN vulkan.groups g ON g.group_id = v.group_id JOIN vulkan.streams s ON s.stream_id = g.stream_id
    UNION ALL
    -- 10. Each tick of a schedule is published once: the next lies after the last.
    SELECT 10, t.name, NULL, format('the next tick of schedule "%s", %s, is not after its last, %s', s.name, s.next_at, s.last_at)
    FROM vulkan.schedules s JOIN vulkan.streams t ON t.stream_id = s.stream_id WHERE s.next_at <= s.last_at
    UNION ALL
    -- 11. No table takes offsets that nobody announces.
    SELECT 11, t.name, NULL, format('vulkan.events_%s does not announce what is loaded into it', t.stream_id)
    FROM vulkan.streams t
    WHERE 2 <> (SELECT count(*) FROM pg_trigger x
                WHERE x.tgrelid = vulkan.events_of(t.name) AND x.tgfoid = 'vulkan.loading'::regproc AND x.tgenabled = 'A');
END $$;
COMMENT ON FUNCTION vulkan.check() IS 'The invariants of the engine: a row for each violation, none on a sound database. Reads everything: for tests, and for doubts. After max_attempts was lowered, invariant 4 may name messages that are older than that.';
