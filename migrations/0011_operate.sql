-- What operators do to a group: pause, resume, skip, redrive, replay. Each has a dry run that counts first.

CREATE FUNCTION vulkan.pause(stream text, consumer_group text, dry_run boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    of_group CONSTANT integer := vulkan.group_id(stream, consumer_group);
BEGIN
    IF NOT dry_run THEN
        -- Claims under way hold it shared: they end first, and the next one sees the pause.
        PERFORM pg_advisory_xact_lock(1459617796, of_group);
        UPDATE vulkan.groups g SET paused_at = clock_timestamp()
        WHERE g.group_id = of_group AND g.paused_at IS NULL;
    END IF;
    RETURN (SELECT count(*) FROM vulkan.deliveries d
            WHERE d.stream = pause.stream AND d.consumer_group = pause.consumer_group AND d.status = 'processing');
END $$;
COMMENT ON FUNCTION vulkan.pause(text, text, boolean) IS 'Hands out nothing more of a group until resume(): once its transaction is committed, no claim hands out anything. What is in flight runs on. Returns how many messages that is.';

CREATE FUNCTION vulkan.resume(stream text, consumer_group text, dry_run boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    g vulkan.groups;
BEGIN
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = vulkan.group_id(stream, consumer_group);
    UPDATE vulkan.groups x SET paused_at = NULL
    WHERE x.group_id = g.group_id AND x.paused_at IS NOT NULL AND NOT dry_run;
    PERFORM vulkan.ring(g.stream_id);
    RETURN vulkan.lag(g.group_id);
END $$;
COMMENT ON FUNCTION vulkan.resume(text, text, boolean) IS 'Lets a paused group go on, and wakes the workers that sleep. Returns how many messages wait above its cursor.';

CREATE TYPE vulkan.held_message AS (
    of_group vulkan.groups,
    status   text,
    lane     bigint,
    token    bigint
);
COMMENT ON TYPE vulkan.held_message IS 'Internal. A message that an operator is about to change: where it stands, and the token it is in work under.';

CREATE FUNCTION vulkan.hold_message(stream text, consumer_group text, event_offset bigint) RETURNS vulkan.held_message
LANGUAGE plpgsql AS $$
DECLARE
    m vulkan.held_message;
    g vulkan.groups;
BEGIN
    PERFORM vulkan.latch(vulkan.group_id(stream, consumer_group));
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = vulkan.group_id(stream, consumer_group);
    SELECT hashtextextended(e.partition_key, 0) INTO m.lane
    FROM vulkan.events e WHERE e.stream_id = g.stream_id AND e."offset" = hold_message.event_offset;
    -- Whatever holds its state, in the order in which a settlement takes them: it changes no more from here on.
    PERFORM FROM vulkan.lanes l WHERE l.group_id = g.group_id AND l.key_hash = m.lane FOR UPDATE;
    PERFORM FROM (SELECT FROM vulkan.claims c WHERE m.lane IS NULL AND c.group_id = g.group_id AND c.hi >= hold_message.event_offset
                  ORDER BY c.hi LIMIT 1 FOR UPDATE) c;
    PERFORM FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" = hold_message.event_offset FOR UPDATE;
    m.of_group := g;
    SELECT i.status, coalesce(l.token, x.token, c.token) INTO m.status, m.token
    FROM vulkan.events e
    CROSS JOIN LATERAL vulkan.status_in(g, e."offset", e.kind, e.headers, e.partition_key) i(status)
    LEFT JOIN vulkan.lanes l ON l.group_id = g.group_id AND l.key_hash = m.lane
    LEFT JOIN vulkan.exceptions x ON x.group_id = g.group_id AND x."offset" = e."offset" AND m.lane IS NULL
    LEFT JOIN LATERAL (SELECT y.token FROM vulkan.claims y WHERE m.lane IS NULL AND y.group_id = g.group_id AND y.hi >= e."offset"
                       ORDER BY y.hi LIMIT 1) c ON true
    WHERE e.stream_id = g.stream_id AND e."offset" = hold_message.event_offset;
    IF m.status IS NULL THEN
        RAISE EXCEPTION 'event % is no message of group "%" on stream "%"', event_offset, consumer_group, stream
            USING ERRCODE = 'VK005', HINT = format('Look at it: SELECT * FROM vulkan.inspect(%s)', event_offset);
    END IF;
    RETURN m;
END $$;
COMMENT ON FUNCTION vulkan.hold_message(text, text, bigint) IS 'Internal. Takes the latch of a group and the rows that hold the state of one message, and says where it stands. Raises VK005 if the event is no message of the group.';

CREATE FUNCTION vulkan.set_aside(g vulkan.groups, event_offset bigint, lane bigint, status text, note text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    prefix bigint;
BEGIN
    -- A new token: whoever has the message in work finds its settlement stale.
    INSERT INTO vulkan.exceptions AS x (group_id, "offset", status, lane, attempts, token, last_error)
    VALUES (g.group_id, set_aside.event_offset, set_aside.status, set_aside.lane, 0, nextval('vulkan.token_seq'), note)
    ON CONFLICT ON CONSTRAINT exceptions_pkey DO UPDATE
        SET status = EXCLUDED.status, token = EXCLUDED.token, lease_until = NULL, updated_at = clock_timestamp(),
            last_error = left(concat_ws('; ', EXCLUDED.last_error, x.last_error), 4096);
    DELETE FROM vulkan.cancel_requests c WHERE c.group_id = g.group_id AND c."offset" = set_aside.event_offset;
    IF lane IS NOT NULL THEN
        SELECT l.prefix_hash INTO prefix FROM vulkan.lanes l WHERE l.group_id = g.group_id AND l.key_hash = set_aside.lane;
        -- What blocks a lane stands right above its head.
        UPDATE vulkan.lanes l SET status = 'ready', run_at = clock_timestamp()
        WHERE l.group_id = g.group_id AND l.key_hash = set_aside.lane
          AND (l.status IN ('ready', 'parked') OR (l.status = 'blocked' AND l.head + 1 = set_aside.event_offset));
        PERFORM vulkan.rest_lanes(g, ARRAY(SELECT l.key_hash FROM vulkan.lanes l
            WHERE l.group_id = g.group_id AND l.key_hash = set_aside.lane AND l.status = 'ready'));
        IF g.prefixed AND prefix IS NOT NULL THEN
            -- Its lane may have been about to take the room that its prefix has.
            PERFORM vulkan.unpark(g, ARRAY[prefix], ARRAY[1]::bigint[]);
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.set_aside(vulkan.groups, bigint, bigint, text, text) IS 'Internal. Makes a message done or dead whatever its state, out of the way of its key. The caller holds the latch if it is keyed.';

CREATE FUNCTION vulkan.skip(stream text, consumer_group text, event_offset bigint, reason text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS text
LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
DECLARE
    m vulkan.held_message;
BEGIN
    m := vulkan.hold_message(stream, consumer_group, event_offset);
    IF m.status <> 'done' AND NOT dry_run THEN
        PERFORM vulkan.set_aside(m.of_group, event_offset, m.lane, 'done', 'skipped' || coalesce(': ' || reason, ''));
    END IF;
    RETURN m.status;
END $$;
COMMENT ON FUNCTION vulkan.skip(text, text, bigint, text, boolean) IS 'Takes one message as done for a group, whatever its state: before its turn, waiting, in work (its settlement will be stale), or dead. Returns the status it had. Raises VK005 if the event is no message of the group; gives up after five seconds, if a transaction that has completed the message stays open for so long.';

CREATE FUNCTION vulkan.is_passed_over(group_id integer, lane bigint, event_offset bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM vulkan.lanes l
                   WHERE l.group_id = is_passed_over.group_id AND l.key_hash = is_passed_over.lane AND l.status = 'processing'
                     AND l.straggler IS NULL AND event_offset > l.head AND event_offset <= l.through)
$$;
COMMENT ON FUNCTION vulkan.is_passed_over(integer, bigint, bigint) IS 'Internal. Whether a dead message was cancelled, and then passed over by a run of its key that is in work: were it ready again, the end of that run would take it for done.';

CREATE FUNCTION vulkan.redrive(
    stream text, consumer_group text, kind_pattern text DEFAULT NULL, error_like text DEFAULT NULL,
    from_offset bigint DEFAULT NULL, to_offset bigint DEFAULT NULL, at_most bigint DEFAULT NULL, dry_run boolean DEFAULT false
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    g      vulkan.groups;
    regex  CONSTANT text := '^' || CASE WHEN kind_pattern IS NOT NULL THEN vulkan.kind_regex(kind_pattern) END || '$';
    cursor bigint;
    picked bigint[];
    keys   bigint[];
BEGIN
    PERFORM vulkan.latch(vulkan.group_id(stream, consumer_group));
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = vulkan.group_id(stream, consumer_group);
    cursor := vulkan.cursor_of(g.group_id);
    SELECT array_agg(d."offset"), array_agg(DISTINCT d.lane) FILTER (WHERE d.lane IS NOT NULL AND d."offset" <= cursor) INTO picked, keys
    FROM (SELECT x."offset", x.lane FROM vulkan.exceptions x
          WHERE x.group_id = g.group_id AND x.status = 'dead'
            AND (error_like IS NULL OR x.last_error LIKE error_like)
            AND NOT vulkan.is_passed_over(g.group_id, x.lane, x."offset")
            AND (from_offset IS NULL OR x."offset" >= from_offset) AND (to_offset IS NULL OR x."offset" <= to_offset)
            AND (regex IS NULL OR EXISTS (SELECT FROM vulkan.events e WHERE e.stream_id = g.stream_id
                                          AND e."offset" = x."offset" AND e.kind ~ regex))
          ORDER BY x."offset" LIMIT at_most) d;
    IF picked IS NULL OR dry_run THEN
        RETURN coalesce(cardinality(picked), 0);
    END IF;
    IF keys IS NOT NULL THEN
        -- claim_lanes() needs no latch: from here on it takes none of these, and what it has taken meanwhile is seen.
        PERFORM FROM vulkan.lanes l WHERE l.group_id = g.group_id AND l.key_hash = ANY (keys) ORDER BY l.key_hash FOR UPDATE;
        SELECT array_agg(u.o), array_agg(DISTINCT x.lane) FILTER (WHERE x.lane IS NOT NULL AND u.o <= cursor) INTO picked, keys
        FROM unnest(picked) AS u(o)
        CROSS JOIN LATERAL (SELECT n.lane FROM vulkan.exceptions n WHERE n.group_id = g.group_id AND n."offset" = u.o LIMIT 1) x
        WHERE NOT vulkan.is_passed_over(g.group_id, x.lane, u.o);
        IF picked IS NULL THEN
            RETURN 0;
        END IF;
    END IF;
    UPDATE vulkan.exceptions x
    SET status = 'ready', attempts = 0, token = nextval('vulkan.token_seq'), solo = false,
        run_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE x.group_id = g.group_id AND x."offset" = ANY (picked) AND x.status = 'dead' AND x."offset" <= cursor;
    -- Cancelled before its turn: it gets its turn again.
    DELETE FROM vulkan.exceptions x
    WHERE x.group_id = g.group_id AND x."offset" = ANY (picked) AND x.status = 'dead' AND x."offset" > cursor;
    IF keys IS NOT NULL THEN
        UPDATE vulkan.lanes l
        SET redriven = true,
            -- A key blocked by this very message is free again.
            status = CASE WHEN l.status = 'blocked' AND l.head + 1 = ANY (picked) THEN 'ready' ELSE l.status END
        WHERE l.group_id = g.group_id AND l.key_hash = ANY (keys);
        DELETE FROM vulkan.keys l WHERE l.group_id = g.group_id AND l.key_hash = ANY (keys) AND l.status = 'drained';
        INSERT INTO vulkan.keys (group_id, key_hash, prefix_hash, head, through, status, redriven, token)
        SELECT g.group_id, k, coalesce(p.hash, 0), cursor, cursor, 'ready', true, nextval('vulkan.token_seq')
        FROM unnest(keys) k
        LEFT JOIN LATERAL (SELECT vulkan.prefix_hash(e.partition_key, g.prefix_delimiter) AS hash FROM vulkan.events e
                           WHERE e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = k
                             AND e.partition_key IS NOT NULL LIMIT 1) p ON true
        WHERE NOT EXISTS (SELECT FROM vulkan.lanes l WHERE l.group_id = g.group_id AND l.key_hash = k);
        PERFORM vulkan.rest_lanes(g, ARRAY(SELECT l.key_hash FROM vulkan.lanes l
            WHERE l.group_id = g.group_id AND l.key_hash = ANY (keys) AND l.status = 'ready'));
    END IF;
    PERFORM vulkan.ring(g.stream_id);
    RETURN cardinality(picked);
END $$;
COMMENT ON FUNCTION vulkan.redrive(text, text, text, text, bigint, bigint, bigint, boolean) IS 'Makes dead messages ready again, with a fresh attempt budget: all of them, or those of a kind pattern, whose error is LIKE a pattern, in a range of offsets, at_most so many (lowest offsets first). A keyed message goes through its key''s lane, before what waits there; one that a run of its key in work has passed over is left for later. Returns how many. For very many, call it with at_most until it returns 0.';
