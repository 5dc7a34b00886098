-- The invariants of the design, checked on any database with Vulkan in it.

-- One statement for each group, and so one snapshot: what others do meanwhile cannot look like a violation. For the same reason
-- nothing here asks for locks, nor for what they say: the last stable offset is no part of a snapshot. Group by group, so that the
-- planner knows the group, and where its look begins.
CREATE FUNCTION vulkan.check_group(of_stream text, of_group vulkan.groups, at_most bigint)
RETURNS TABLE (invariant integer, stream text, consumer_group text, detail text)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    one      CONSTANT integer := of_group.group_id;
    one_name CONSTANT text := of_group.name;
    streamed CONSTANT integer := of_group.stream_id;
    -- Where the newest so many events of the stream begin.
    since    CONSTANT bigint := coalesce((SELECT e."offset" FROM vulkan.events e WHERE e.stream_id = of_group.stream_id AND at_most IS NOT NULL
                                          ORDER BY e."offset" DESC OFFSET at_most LIMIT 1), -1);
BEGIN
    RETURN QUERY
    WITH every_group AS MATERIALIZED (
        SELECT g.*, vulkan.cursor_of(one) AS cursor FROM vulkan.groups g WHERE g.group_id = one
    ), lifecycle AS MATERIALIZED (
        SELECT g.* FROM every_group g WHERE g.mode = 'lifecycle'
    ), story AS MATERIALIZED (
        -- Messages with a row of their own, and the event of each.
        SELECT x.*, g.cursor, g.max_attempts, e."offset" IS NOT NULL AS in_log, e.partition_key
        FROM lifecycle g
        JOIN vulkan.exceptions x ON x.group_id = one AND x."offset" > since
        LEFT JOIN vulkan.events e ON e.stream_id = streamed AND e."offset" = x."offset" AND e."offset" > since
    ), lane AS MATERIALIZED (
        SELECT l.*, g.cursor FROM lifecycle g
        CROSS JOIN (SELECT y.* FROM vulkan.lanes y WHERE y.group_id = one LIMIT at_most) l
    ), place AS MATERIALIZED (
        SELECT one AS group_id, d.event_offset, d.status FROM vulkan.deliveries d
        WHERE d.stream = of_stream AND d.consumer_group = one_name AND d.event_offset > since AND of_group.mode = 'lifecycle'
    ), violation AS (
        -- 1. Every group has a cursor.
        SELECT 1 AS invariant, g.group_id, 'the group has no cursor' AS detail FROM every_group g WHERE g.cursor IS NULL
        UNION ALL
        -- 1. Claims tile the log from 0 to the cursor, without gap or overlap.
        SELECT 1, c.group_id, format('claim (%s, %s] does not begin where the one before ends, at %s', c.lo, c.hi, c.before)
        FROM (SELECT x.group_id, x.lo, x.hi, lag(x.hi, 1, CASE WHEN since < 0 THEN 0 END::bigint) OVER (ORDER BY x.hi) AS before
              FROM lifecycle g JOIN vulkan.claims x ON x.group_id = one AND x.hi > since) c
        WHERE c.lo <> c.before
        UNION ALL
        -- 1. What is open was handed out.
        SELECT 1, c.group_id, format('claim (%s, %s] is open, and its origin is %s', c.lo, c.hi, c.origin)
        FROM (SELECT y.* FROM vulkan.claims y WHERE y.group_id = one AND y.settled_at IS NULL LIMIT at_most) c
        WHERE c.origin <> 'claim'
        UNION ALL
        -- 1. A keyed retry that no lane will hand out is lost.
        SELECT 1, x.group_id, format('message %s waits for a lane that does not exist', x."offset")
        FROM story x
        WHERE x.status = 'ready' AND x.lane IS NOT NULL
          AND NOT EXISTS (SELECT FROM vulkan.lanes l WHERE l.group_id = x.group_id AND l.key_hash = x.lane
                          AND (x."offset" > l.head OR l.redriven))
        UNION ALL
        -- 1. An exception above the cursor can only be one that was skipped or cancelled before its turn.
        SELECT 1, x.group_id, format('message %s has status %s above the cursor %s', x."offset", x.status, x.cursor)
        FROM story x WHERE x."offset" > x.cursor AND x.status NOT IN ('done', 'dead')
        UNION ALL
        -- 1. A checkpoint above the cursor is of a message that nobody has had.
        SELECT 1, x.group_id, format('message %s has a checkpoint above the cursor %s', x."offset", g.cursor)
        FROM lifecycle g
        JOIN vulkan.checkpoints x ON x.group_id = one AND x."offset" > g.cursor
        UNION ALL
        -- 1. Keyed messages in lanes, others not.
        SELECT 1, x.group_id, format('message %s with partition key %s has lane %s', x."offset", quote_nullable(x.partition_key), x.lane)
        FROM story x WHERE x.in_log AND x.lane IS DISTINCT FROM hashtextextended(x.partition_key, 0)
        UNION ALL
        -- 1. What is unfinished is in the log, or it could not be handed out.
        SELECT 1, x.group_id, format('message %s is %s, and the log has no such event', x."offset", x.status)
        FROM story x WHERE NOT x.in_log AND x.status <> 'done'
        UNION ALL
        -- 1. Every lane has something to hand out, or it would stand in the way for ever.
        SELECT 1, l.group_id, format('lane %s is %s with nothing pending above %s', l.key_hash, l.status, l.head)
        FROM lane l
        WHERE l.status NOT IN ('blocked', 'processing')
          AND NOT EXISTS (SELECT FROM vulkan.lane_pending p WHERE p.group_id = one AND p.key_hash = l.key_hash OFFSET 0)
          AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = l.group_id AND x.lane = l.key_hash AND x.status IN ('ready', 'done') AND l.redriven)
        UNION ALL
        -- 1. A key has one lane: no index says so, the latch does.
        SELECT 1, k.group_id, format('key %s has %s rows, %s of them lanes', k.key_hash, count(*), count(*) FILTER (WHERE k.status <> 'drained'))
        FROM (SELECT y.* FROM vulkan.keys y WHERE y.group_id = one LIMIT at_most) k
        GROUP BY k.group_id, k.key_hash HAVING count(*) > 1
        UNION ALL
        -- 1. One place each: the view finds no message twice, and none of them nowhere. What a group was set past is nowhere.
        SELECT 1, p.group_id, format('message %s is in %s places: %s', p.event_offset, count(*), string_agg(p.status, ', ' ORDER BY p.status))
        FROM place p GROUP BY p.group_id, p.event_offset HAVING count(*) > 1
        UNION ALL
        SELECT 1, one, format('message %s is in no place', n."offset")
        -- EXCEPT, which sorts or hashes whatever the planner believes.
        FROM (SELECT e."offset" FROM lifecycle g JOIN vulkan.events e ON e.stream_id = streamed AND e."offset" > since
              WHERE g.unfiltered OR vulkan.is_message(one, e."offset", e.kind, e.headers)
              EXCEPT SELECT p.event_offset FROM place p) n
        WHERE (SELECT c.origin FROM vulkan.claims c WHERE c.group_id = one AND c.hi >= n."offset" ORDER BY c.hi LIMIT 1) IS DISTINCT FROM 'seek'
        UNION ALL
        -- 1. A claim that is over makes done what was handed out with it, and nothing that came into its range later: what has no row of
        -- its own is no more than that. Where nothing was to be handed out there is nothing.
        SELECT 1, c.group_id, format('claim (%s, %s] handed out %s messages, and its range has %s without a row: some were passed over',
                                     c.lo, c.hi, c.handed, n.messages)
        FROM (SELECT x.*, CASE x.origin WHEN 'claim' THEN x.messages ELSE 0 END AS handed
              FROM lifecycle g JOIN vulkan.claims x ON x.group_id = one AND x.hi > since AND x.lo >= since AND x.origin <> 'seek') c
        JOIN lifecycle g ON true
        CROSS JOIN LATERAL (
            SELECT count(*) AS messages FROM vulkan.events e
            WHERE e.stream_id = streamed AND e."offset" > c.lo AND e."offset" <= c.hi AND e.partition_key IS NULL
              AND (g.unfiltered OR vulkan.is_message(one, e."offset", e.kind, e.headers))
              AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = one AND x."offset" = e."offset")) n
        WHERE n.messages > c.handed
        UNION ALL
        -- 1. What was asked to stop is not handed out again.
        SELECT 1, c.group_id, format('message %s was asked to stop, and waits to be handed out', c."offset")
        FROM vulkan.cancel_requests c JOIN place p ON p.event_offset = c."offset"
        WHERE c.group_id = one AND p.status = 'ready'
        UNION ALL
        -- 1. A fence is drawn once: none lies above the sequence, which would hand it out again.
        SELECT 1, f.group_id, format('%s has token %s, above the newest, %s', f.what, f.token, q.last_value)
        FROM (SELECT x.group_id, format('message %s', x."offset") AS what, x.token FROM story x
              UNION ALL SELECT l.group_id, format('lane %s', l.key_hash), l.token FROM lane l
              UNION ALL SELECT g.group_id, format('claim (%s, %s]', c.lo, c.hi), c.token FROM lifecycle g
                        JOIN vulkan.claims c ON c.group_id = one AND c.hi > since) f
        CROSS JOIN vulkan.token_seq q WHERE f.token > q.last_value
        UNION ALL
        -- 2. No cursor passes what was stable. The last stable offset itself can fall back: a publisher
        -- reads the sequence, others commit and are read, and only then it announces its floor. What it
        -- will write lies above the sequence then, and so above every cursor, which is what counts.
        SELECT 2, g.group_id, format('cursor %s is above the newest offset %s', g.cursor, q.last_value)
        FROM every_group g CROSS JOIN vulkan.offset_seq q WHERE g.cursor > q.last_value
        UNION ALL
        -- 3. Per key at most one message in flight, and none before an earlier one is resolved.
        SELECT 3, l.group_id, format('lane %s: run (%s, %s] reaches above the cursor %s', l.key_hash, l.head, l.through, l.cursor)
        FROM lane l WHERE l.through > l.cursor OR l.head > l.cursor
        UNION ALL
        SELECT 3, x.group_id, format('keyed message %s is in work outside its lane', x."offset")
        FROM story x WHERE x.lane IS NOT NULL AND x.status = 'processing'
        UNION ALL
        SELECT 3, x.group_id, format('message %s is ready behind its lane, whose head is %s', x."offset", l.head)
        FROM story x JOIN lane l ON l.group_id = x.group_id AND l.key_hash = x.lane
        WHERE x.status = 'ready' AND x."offset" <= l.head AND NOT l.redriven
        UNION ALL
        SELECT 3, l.group_id, format('lane %s is %s, and has handed out message %s behind its head %s', l.key_hash, l.status, l.straggler, l.head)
        FROM lane l WHERE l.straggler IS NOT NULL AND (l.status <> 'processing' OR l.straggler > l.head)
        UNION ALL
        -- 3. Each message of a key was done in one run.
        SELECT 3, r.group_id, format('runs (%s, %s] and (…, %s] of lane %s overlap', r.lo, r.hi, r.before, r.key_hash)
        FROM (SELECT y.group_id, y.key_hash, y.lo, y.hi, lag(y.hi) OVER (PARTITION BY y.group_id, y.key_hash ORDER BY y.hi) AS before
              FROM vulkan.runs y WHERE y.group_id = one AND y.hi > since) r
        WHERE r.lo < r.before
        UNION ALL
        -- 4. attempts <= max attempts, what has none left is dead, and what is in work has begun one.
        SELECT 4, x.group_id, format('message %s is %s after %s of %s attempts', x."offset", x.status, x.attempts, x.max_attempts)
        FROM story x
        WHERE x.attempts > x.max_attempts OR (x.status = 'ready' AND x.attempts >= x.max_attempts)
           OR x.attempts < (x.status = 'processing')::integer
        UNION ALL
        -- 5. What blocks a lane is dead and stands right above its head, or nobody could free it.
        SELECT 5, l.group_id, format('lane %s is blocked at %s by nothing', l.key_hash, l.head)
        FROM lane l
        WHERE l.status = 'blocked' AND NOT EXISTS (
            SELECT FROM vulkan.exceptions x WHERE x.group_id = l.group_id AND x."offset" = l.head + 1 AND x.lane = l.key_hash AND x.status = 'dead')
        UNION ALL
        -- 5. No lane sleeps longer than its next message.
        SELECT 5, l.group_id, format('lane %s waits until %s, and its next message, %s, is due at %s', l.key_hash, l.run_at, p."offset", p.run_at)
        FROM lane l
        CROSS JOIN LATERAL (SELECT y."offset", y.run_at FROM vulkan.lane_pending y
                            WHERE y.group_id = one AND y.key_hash = l.key_hash ORDER BY y."offset" LIMIT 1) p
        WHERE l.status = 'ready' AND NOT l.redriven AND l.run_at > clock_timestamp() AND l.run_at > p.run_at
        UNION ALL
        -- 9. No lane is parked while its prefix has room that nobody is about to take.
        SELECT 9, p.group_id, format('lanes of prefix %s are parked while %s of %s messages are in flight or ready', p.prefix_hash, taken.messages, most.messages)
        FROM (SELECT DISTINCT l.group_id, l.prefix_hash FROM lane l WHERE l.status = 'parked') p
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
        CROSS JOIN LATERAL (SELECT count(*) AS messages FROM place p WHERE p.group_id = g.group_id AND p.status = 'processing') d
        CROSS JOIN LATERAL (SELECT
            (SELECT coalesce(sum(x.messages), 0) FROM vulkan.claims x WHERE x.group_id = g.group_id AND x.settled_at IS NULL)
            + (SELECT count(*) FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x.status = 'processing')
            + (SELECT coalesce(sum(x.held), 0) FROM vulkan.lanes x WHERE x.group_id = g.group_id AND x.status = 'processing') AS messages) c
        WHERE d.messages > c.messages
        UNION ALL
        -- 12. What a group remembers of its bindings and limits is what they are, and there is a binding for every event.
        SELECT 12, g.group_id, format('the group has no binding for the beginning of its stream')
        FROM every_group g WHERE NOT EXISTS (SELECT FROM vulkan.bindings b WHERE b.group_id = g.group_id AND b.from_offset < 1)
        UNION ALL
        SELECT 12, g.group_id, format('unfiltered is %s, and the group has %s bindings that are no match for everything', g.unfiltered, b.narrow)
        FROM every_group g
        CROSS JOIN LATERAL (SELECT count(*) AS narrow FROM vulkan.bindings y WHERE y.group_id = g.group_id AND y.everything IS NOT TRUE) b
        WHERE g.unfiltered <> (b.narrow = 0)
        UNION ALL
        SELECT 12, g.group_id, format('%s is %s, which its table does not bear out', f.flag, f.stands)
        FROM every_group g
        CROSS JOIN LATERAL (VALUES
            ('prefix_limits', g.prefix_limits, EXISTS (SELECT FROM vulkan.prefix_limits y WHERE y.group_id = g.group_id)),
            ('breaker', g.breaker, EXISTS (SELECT FROM vulkan.breakers y WHERE y.group_id = g.group_id))) f(flag, stands, found)
        WHERE f.stands <> f.found
    )
    SELECT v.invariant, of_stream, one_name, v.detail FROM violation v;
END $$;
COMMENT ON FUNCTION vulkan.check_group(text, vulkan.groups, bigint) IS 'Internal. The part of check() that looks at one group.';

CREATE FUNCTION vulkan.check(at_most bigint DEFAULT 100000) RETURNS TABLE (invariant integer, stream text, consumer_group text, detail text)
LANGUAGE plpgsql SET jit = off AS $$
#variable_conflict use_column
DECLARE
    g vulkan.groups;
BEGIN
    FOR g IN SELECT x.* FROM vulkan.groups x ORDER BY x.group_id LOOP
        RETURN QUERY SELECT c.* FROM vulkan.check_group((SELECT s.name FROM vulkan.streams s WHERE s.stream_id = g.stream_id), g, at_most) c;
    END LOOP;
    RETURN QUERY
    -- 2. No event lies above the sequence, which would hand its offset out again.
    SELECT 2, t.name, NULL, format('event %s is above the newest offset %s', e."offset", q.last_value)
    FROM vulkan.streams t
    CROSS JOIN LATERAL (SELECT y."offset" FROM vulkan.events y WHERE y.stream_id = t.stream_id ORDER BY y."offset" DESC LIMIT 1) e
    CROSS JOIN vulkan.offset_seq q WHERE e."offset" > q.last_value
    UNION ALL
    -- 7. What a dedup id stands for was published: else who publishes it again is told that it is there already.
    SELECT 7, t.name, NULL, format('dedup id %L stands for event %s, which is not there', d.dedup_id, d."offset")
    FROM vulkan.streams t
    CROSS JOIN LATERAL (SELECT y.* FROM vulkan.dedup y WHERE y.stream_id = t.stream_id AND y.expires_at > clock_timestamp() LIMIT at_most) d
    WHERE NOT EXISTS (SELECT FROM vulkan.events e WHERE e.stream_id = t.stream_id AND e."offset" = d."offset")
      -- What retention has taken away is not missed.
      AND d."offset" > (SELECT min(y."offset") FROM vulkan.events y WHERE y.stream_id = t.stream_id)
    UNION ALL
    -- 10. Each tick of a schedule is published once: the next lies after the last.
    SELECT 10, t.name, NULL, format('the next tick of schedule "%s", %s, is not after its last, %s', s.name, s.next_at, s.last_at)
    FROM vulkan.schedules s JOIN vulkan.streams t ON t.stream_id = s.stream_id WHERE s.next_at <= s.last_at
    UNION ALL
    -- 11. No table takes offsets that nobody announces.
    SELECT 11, t.name, NULL, format('vulkan.events_%s does not announce what is loaded into it', t.stream_id)
    FROM vulkan.streams t
    WHERE 2 <> (SELECT count(*) FROM pg_trigger x
                WHERE x.tgrelid = vulkan.events_of(t.name) AND x.tgfoid = 'vulkan.loading'::regproc AND x.tgenabled = 'A')
    UNION ALL
    -- 11. A floor holds for the next offset that a session draws only if it draws one at a time.
    SELECT 11, NULL, NULL, format('vulkan.offset_seq has CACHE %s and INCREMENT %s, and both must be 1', q.seqcache, q.seqincrement)
    FROM pg_sequence q WHERE q.seqrelid = 'vulkan.offset_seq'::regclass AND (q.seqcache <> 1 OR q.seqincrement <> 1)
    UNION ALL
    -- 11. Every stream has a partition for the next event, and none for whatever fits nowhere else: no partition could
    -- be added or retired beside that without stopping the publishers.
    SELECT 11, t.name, NULL, format('the stream has no partition for slot %s', q.last_value / 1000000000)
    FROM vulkan.streams t CROSS JOIN vulkan.offset_seq q
    WHERE to_regclass(format('vulkan.events_%s_%s', t.stream_id,
              q.last_value / 1000000000 / t.slots_per_partition * t.slots_per_partition)) IS NULL
    UNION ALL
    SELECT 11, NULL, NULL, format('vulkan.%s has a DEFAULT partition', c.relname)
    FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
    WHERE c.relnamespace = 'vulkan'::regnamespace AND p.partdefid <> 0;
END $$;
COMMENT ON FUNCTION vulkan.check(bigint) IS
'The invariants of the engine: a row for each violation, none on a sound database. It changes nothing, takes no lock that others wait for, and may run beside any traffic, in a READ ONLY transaction, too. at_most bounds what it reads: of each group the newest so many events with what became of them, and so many lanes; NULL reads everything. After max_attempts was lowered, invariant 4 may name messages that are older than that; after the server''s clock was set back, 5 and 9 may name lanes until it has caught up.';
