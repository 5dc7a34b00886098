-- What operators do to a group: pause, resume, skip, redrive, replay. Each has a dry run that counts first.

CREATE FUNCTION vulkan.pause(stream text, consumer_group text, dry_run boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    of_group CONSTANT integer := vulkan.group_id(stream, consumer_group);
BEGIN
    UPDATE vulkan.groups g SET paused_at = clock_timestamp()
    WHERE g.group_id = of_group AND g.paused_at IS NULL AND NOT dry_run;
    RETURN (SELECT count(*) FROM vulkan.deliveries d
            WHERE d.stream = pause.stream AND d.consumer_group = pause.consumer_group AND d.status = 'processing');
END $$;
COMMENT ON FUNCTION vulkan.pause(text, text, boolean) IS 'Hands out nothing more of a group until resume(). What is in flight runs on. Returns how many messages that is.';

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
COMMENT ON FUNCTION vulkan.resume(text, text, boolean) IS 'Lets a paused group go on. Returns how many messages wait above its cursor.';

CREATE FUNCTION vulkan.skip(stream text, consumer_group text, event_offset bigint, reason text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    g      vulkan.groups;
    was    text;
    key    text;
    lane   bigint;
    note   CONSTANT text := 'skipped' || coalesce(': ' || reason, '');
BEGIN
    PERFORM vulkan.latch(vulkan.group_id(stream, consumer_group));
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = vulkan.group_id(stream, consumer_group);
    SELECT i.status, e.partition_key, hashtextextended(e.partition_key, 0) INTO was, key, lane
    FROM vulkan.events e
    CROSS JOIN LATERAL vulkan.status_in(g, e."offset", e.kind, e.headers, e.partition_key) i(status)
    WHERE e.stream_id = g.stream_id AND e."offset" = skip.event_offset;
    IF was IS NULL THEN
        RAISE EXCEPTION 'event % is no message of group "%" on stream "%"', event_offset, consumer_group, stream
            USING ERRCODE = 'VK005', HINT = format('Look at it: SELECT * FROM vulkan.inspect(%s)', event_offset);
    END IF;
    IF was = 'done' OR dry_run THEN
        RETURN was;
    END IF;
    -- A new token: whoever has the message in work finds its settlement stale.
    INSERT INTO vulkan.exceptions AS x (group_id, "offset", status, lane, attempts, token, last_error)
    VALUES (g.group_id, skip.event_offset, 'done', lane, 0, nextval('vulkan.token_seq'), note)
    ON CONFLICT ON CONSTRAINT exceptions_pkey DO UPDATE
        SET status = 'done', token = EXCLUDED.token, lease_until = NULL, updated_at = clock_timestamp(),
            last_error = concat_ws('; ', EXCLUDED.last_error, x.last_error);
    IF lane IS NOT NULL THEN
        UPDATE vulkan.lanes l SET status = 'ready', run_at = clock_timestamp()
        WHERE l.group_id = g.group_id AND l.key_hash = lane AND (l.status IN ('ready', 'parked')
            OR (l.status = 'blocked' AND NOT EXISTS (
                SELECT FROM vulkan.exceptions x WHERE x.group_id = l.group_id AND x.lane = l.key_hash
                AND x.status = 'dead' AND x."offset" > l.head AND x."offset" <= l.through)));
        PERFORM vulkan.rest_lanes(g, ARRAY(SELECT l.key_hash FROM vulkan.lanes l
            WHERE l.group_id = g.group_id AND l.key_hash = lane AND l.status = 'ready'));
        IF g.prefixed THEN
            -- Its lane may have been about to take the room that its prefix has.
            PERFORM vulkan.unpark(g, ARRAY[vulkan.prefix_hash(key, g.prefix_delimiter)], ARRAY[1]::bigint[]);
        END IF;
    END IF;
    RETURN was;
END $$;
COMMENT ON FUNCTION vulkan.skip(text, text, bigint, text, boolean) IS 'Takes one message as done for a group, whatever its state: before its turn, waiting, in work (its settlement will be stale), or dead. Returns the status it had. Raises VK005 if the event is no message of the group.';

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
    SELECT array_agg(d."offset"), array_agg(DISTINCT d.lane) FILTER (WHERE d.lane IS NOT NULL) INTO picked, keys
    FROM (SELECT x."offset", x.lane FROM vulkan.exceptions x
          WHERE x.group_id = g.group_id AND x.status = 'dead'
            AND (error_like IS NULL OR x.last_error LIKE error_like)
            AND (from_offset IS NULL OR x."offset" >= from_offset) AND (to_offset IS NULL OR x."offset" <= to_offset)
            AND (regex IS NULL OR EXISTS (SELECT FROM vulkan.events e WHERE e.stream_id = g.stream_id
                                          AND e."offset" = x."offset" AND e.kind ~ regex))
          ORDER BY x."offset" LIMIT at_most) d;
    IF picked IS NULL OR dry_run THEN
        RETURN coalesce(cardinality(picked), 0);
    END IF;
    UPDATE vulkan.exceptions x
    SET status = 'ready', attempts = 0, token = nextval('vulkan.token_seq'), solo = false,
        run_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE x.group_id = g.group_id AND x."offset" = ANY (picked) AND x.status = 'dead';
    IF keys IS NOT NULL THEN
        INSERT INTO vulkan.lanes AS l (group_id, key_hash, prefix_hash, head, through, status, redriven, token)
        SELECT g.group_id, k, coalesce(p.hash, 0), cursor, cursor, 'ready', true, nextval('vulkan.token_seq')
        FROM unnest(keys) k
        LEFT JOIN LATERAL (SELECT vulkan.prefix_hash(e.partition_key, g.prefix_delimiter) AS hash FROM vulkan.events e
                           WHERE e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = k
                             AND e.partition_key IS NOT NULL LIMIT 1) p ON true
        ON CONFLICT ON CONSTRAINT lanes_pkey DO UPDATE SET
            redriven = true,
            -- A key blocked by this very message is free again.
            status = CASE WHEN l.status = 'blocked' AND EXISTS (
                SELECT FROM vulkan.exceptions x WHERE x.group_id = l.group_id AND x.lane = l.key_hash
                AND x.status = 'ready' AND x."offset" > l.head) THEN 'ready' ELSE l.status END;
        PERFORM vulkan.rest_lanes(g, ARRAY(SELECT l.key_hash FROM vulkan.lanes l
            WHERE l.group_id = g.group_id AND l.key_hash = ANY (keys) AND l.status = 'ready'));
    END IF;
    PERFORM vulkan.ring(g.stream_id);
    RETURN cardinality(picked);
END $$;
COMMENT ON FUNCTION vulkan.redrive(text, text, text, text, bigint, bigint, bigint, boolean) IS 'Makes dead messages ready again, with a fresh attempt budget: all of them, or those of a kind pattern, whose error is LIKE a pattern, in a range of offsets, at_most so many (lowest offsets first). A keyed message goes through its key''s lane, before what waits there. Returns how many. For very many, call it with at_most until it returns 0.';
