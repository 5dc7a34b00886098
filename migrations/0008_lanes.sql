-- Lanes: order where it was asked for. A lane is the cursor of one partition key.

CREATE FUNCTION vulkan.prefix_hash(partition_key text, delimiter text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended(split_part(partition_key, delimiter, 1), 0) $$;
COMMENT ON FUNCTION vulkan.prefix_hash(text, text) IS 'Internal. The hash of a partition key''s prefix: what stands before the first delimiter, or the whole key.';

CREATE FUNCTION vulkan.take_fresh_keys(g vulkan.groups, cursor bigint, claim_hi bigint, at timestamptz, marked boolean)
RETURNS TABLE (hash bigint, prefix_hash bigint, messages integer, first bigint, last bigint, first_delayed bigint, deliver_at timestamptz, kept boolean)
LANGUAGE plpgsql ROWS 500 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH fresh AS MATERIALIZED (
        SELECT k.*, l.row_id
        FROM (SELECT hashtextextended(e.partition_key, 0) AS hash, min(vulkan.prefix_hash(e.partition_key, g.prefix_delimiter)) AS prefix_hash, count(*)::integer AS messages,
                     min(e."offset") AS first, max(e."offset") AS last,
                     min(e."offset") FILTER (WHERE e.deliver_at > at) AS first_delayed,
                     (array_agg(e.deliver_at ORDER BY e."offset"))[1] AS deliver_at
              FROM vulkan.events e
              WHERE e.stream_id = g.stream_id AND e."offset" > cursor AND e."offset" <= claim_hi
                AND e.partition_key IS NOT NULL
                AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
                AND NOT (marked AND EXISTS (SELECT FROM vulkan.exceptions x
                                            WHERE x.group_id = g.group_id AND x."offset" = e."offset"))
              GROUP BY 1) k
        LEFT JOIN LATERAL (SELECT x.ctid AS row_id, x.status FROM vulkan.keys x
                           WHERE x.group_id = g.group_id AND x.key_hash = k.hash ORDER BY x.token DESC LIMIT 1) l ON true
        WHERE coalesce(l.status, 'drained') = 'drained'
    ), replaced AS (
        DELETE FROM vulkan.keys x USING fresh f WHERE x.ctid = f.row_id
    )
    SELECT f.hash, f.prefix_hash,
           -- The run ends before what is delayed: what comes after that is not handed out.
           CASE WHEN f.first_delayed IS NULL THEN f.messages
                ELSE (SELECT count(*)::integer FROM vulkan.events e
                      WHERE e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = f.hash AND e.partition_key IS NOT NULL
                        AND e."offset" > cursor AND e."offset" < f.first_delayed
                        AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
                        AND NOT (marked AND EXISTS (SELECT FROM vulkan.exceptions x
                                                    WHERE x.group_id = g.group_id AND x."offset" = e."offset"))) END,
           f.first, f.last, f.first_delayed, f.deliver_at, f.row_id IS NOT NULL
    FROM fresh f;
END $$;
COMMENT ON FUNCTION vulkan.take_fresh_keys(vulkan.groups, bigint, bigint, timestamptz, boolean) IS 'Internal. The keys of a claimed range that have no lane, with what the range has of them; messages: those that come before one that is delayed. A row that a drained key has kept is deleted: the caller, who holds the latch, opens a lane for each.';

CREATE FUNCTION vulkan.open_lanes(g vulkan.groups, worker text, new_token bigint, cursor bigint, claim_hi bigint, at timestamptz, marked boolean)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- A key that has its lane already needs nothing: its lane reaches up to the cursor.
    -- A run ends before the first message that must not be handed out yet.
    INSERT INTO vulkan.keys (group_id, key_hash, prefix_hash, head, through, held, status, token, kept, run_at, claimed_at, lease_until, worker)
    SELECT g.group_id, k.hash, k.prefix_hash, cursor, coalesce(k.first_delayed - 1, k.last), k.messages,
           CASE WHEN k.first = k.first_delayed THEN 'ready' ELSE 'processing' END,
           new_token, k.kept,
           CASE WHEN k.first = k.first_delayed THEN k.deliver_at ELSE at END, at, CASE WHEN k.first IS DISTINCT FROM k.first_delayed THEN at + g.lease END, open_lanes.worker
    FROM vulkan.take_fresh_keys(g, cursor, claim_hi, at, marked) k;
END $$;
COMMENT ON FUNCTION vulkan.open_lanes(vulkan.groups, text, bigint, bigint, bigint, timestamptz, boolean) IS 'Internal. Opens a lane for each key of a claimed range that has none, its run handed out with the claim. The caller holds the latch.';

CREATE FUNCTION vulkan.claim_lanes(g vulkan.groups, worker text, max_messages integer, max_lanes integer, take_solo boolean, ready_from timestamptz)
RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 100 AS $$
DECLARE
    at     CONSTANT timestamptz := clock_timestamp();
    keys   bigint[];
    heads  bigint[];
    solos  boolean[];
BEGIN
    -- Heads come with the lock: a join to the lanes would read them as of a snapshot before it.
    WITH due AS (
        SELECT l.key_hash, l.head, l.solo FROM vulkan.keys l
        WHERE l.group_id = g.group_id AND l.status = 'ready' AND NOT l.solo AND l.run_at <= at AND l.run_at >= ready_from
        ORDER BY l.run_at LIMIT least(max_lanes, max_messages) FOR UPDATE SKIP LOCKED
    ), suspect AS (
        SELECT l.key_hash, l.head, l.solo FROM vulkan.keys l
        WHERE l.group_id = g.group_id AND l.status = 'ready' AND l.solo AND l.run_at <= at AND l.run_at >= ready_from
        ORDER BY l.run_at LIMIT take_solo::integer FOR UPDATE SKIP LOCKED
    )
    SELECT array_agg(p.key_hash), array_agg(p.head), array_agg(p.solo) INTO keys, heads, solos
    FROM (SELECT * FROM due UNION ALL SELECT * FROM suspect) p;
    IF keys IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM vulkan.lane_messages(g, claim_lanes.worker, keys, heads, solos, vulkan.redriven_due(g, keys, at),
        greatest(1, max_messages / cardinality(keys)), at);
END $$;
COMMENT ON FUNCTION vulkan.claim_lanes(vulkan.groups, text, integer, integer, boolean, timestamptz) IS 'Internal. The part of claim() that hands out runs of ready lanes. Locks the lanes it takes and skips locked ones; needs no latch.';

CREATE FUNCTION vulkan.redriven_due(g vulkan.groups, keys bigint[], at timestamptz) RETURNS bigint[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT array_agg(s."offset" ORDER BY p.nth)
        FROM unnest(keys) WITH ORDINALITY AS p(key_hash, nth)
        CROSS JOIN LATERAL (SELECT * FROM vulkan.keys y WHERE y.group_id = g.group_id AND y.key_hash = p.key_hash ORDER BY y.token DESC LIMIT 1) l
        LEFT JOIN LATERAL (
            SELECT x."offset" FROM vulkan.exceptions x
            WHERE l.redriven AND x.group_id = l.group_id AND x.lane = l.key_hash AND x.status = 'ready'
              AND x."offset" <= l.head AND x.run_at <= at
            ORDER BY x."offset" LIMIT 1) s ON true);
END $$;
COMMENT ON FUNCTION vulkan.redriven_due(vulkan.groups, bigint[], timestamptz) IS 'Internal. For each of these lanes the oldest redriven message below its head that is due, or NULL.';

CREATE FUNCTION vulkan.lane_messages(
    g vulkan.groups, worker text, keys bigint[], heads bigint[], solos boolean[], late bigint[],
    run_length integer, at timestamptz
) RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 100 SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    cursor    CONSTANT bigint := vulkan.cursor_of(g.group_id);
    lowest    CONSTANT bigint := (SELECT min(least(h, o)) FROM unnest(heads, late) AS u(h, o));
    new_token CONSTANT bigint := nextval('vulkan.token_seq');
BEGIN
    RETURN QUERY
    WITH run AS MATERIALIZED (
        SELECT p.key, p.late, m.*
        FROM unnest(keys, heads, solos, late) AS p(key, head, solo, late)
        CROSS JOIN LATERAL (
            SELECT n.*, bool_and(n.due) OVER (ORDER BY n."offset") AS handed
            FROM (SELECT e."offset", e.kind, e.partition_key, e.payload, e.headers, e.created_at,
                         coalesce(x.attempts, 0) + 1 AS attempt, p.solo,
                         coalesce(e.deliver_at <= at, true) AND coalesce(x.run_at <= at, true) AS due
                  FROM vulkan.events e
                  LEFT JOIN vulkan.exceptions x ON x.group_id = g.group_id AND x."offset" = e."offset"
                  WHERE e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = p.key
                    AND e.partition_key IS NOT NULL
                    AND e."offset" > p.head AND e."offset" > lowest AND e."offset" <= cursor
                    AND coalesce(x.status, 'ready') = 'ready'
                    AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
                  ORDER BY e."offset" LIMIT CASE WHEN p.late IS NOT NULL THEN 0 WHEN p.solo THEN 1 ELSE run_length END) n
            UNION ALL
            SELECT e."offset", e.kind, e.partition_key, e.payload, e.headers, e.created_at,
                   x.attempts + 1, x.solo, true, true
            FROM vulkan.exceptions x
            JOIN vulkan.events e ON e."offset" = x."offset"
            WHERE x.group_id = g.group_id AND x."offset" = p.late AND e.stream_id = g.stream_id AND e."offset" >= lowest
        ) m
        WHERE m.handed
    ), taken AS (
        UPDATE vulkan.keys l
        SET status = 'processing', through = greatest(l.head, r.last), held = r.messages, straggler = r.late, token = new_token, opened = false,
            worker = lane_messages.worker, claimed_at = at, lease_until = at + g.lease
        FROM (SELECT run.key, max(run."offset") AS last, max(run.late) AS late, count(*)::integer AS messages FROM run GROUP BY 1) r
        CROSS JOIN LATERAL (SELECT x.ctid FROM vulkan.keys x WHERE x.group_id = g.group_id AND x.key_hash = r.key ORDER BY x.token DESC LIMIT 1) y
        WHERE l.ctid = y.ctid
    )
    SELECT r."offset", r.kind, r.partition_key, r.payload, r.headers, r.created_at,
           r.attempt, new_token, NULL::bigint, r.key, r.solo
    FROM run r ORDER BY r."offset";
END $$;
COMMENT ON FUNCTION vulkan.lane_messages(vulkan.groups, text, bigint[], bigint[], boolean[], bigint[], integer, timestamptz) IS 'Internal. Hands out a run of each of these lanes: the redriven message below the head if one is due, else the next messages in log order up to the first that is not due.';

CREATE FUNCTION vulkan.rest_lanes(g vulkan.groups, keys bigint[], heads bigint[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    at     CONSTANT timestamptz := clock_timestamp();
    cursor CONSTANT bigint := vulkan.cursor_of(g.group_id);
    lowest bigint;
BEGIN
    -- What was given is cheaper to look at than the lanes.
    IF heads IS NOT NULL AND array_position(heads, NULL) IS NULL THEN
        lowest := (SELECT min(h) FROM unnest(heads) AS u(h));
    ELSE
        SELECT min(coalesce(u.head, l.head)) INTO lowest
        FROM unnest(keys, heads) AS u(key, head)
        CROSS JOIN LATERAL (SELECT x.head FROM vulkan.keys x WHERE x.group_id = g.group_id AND x.key_hash = u.key ORDER BY x.token DESC LIMIT 1) l;
    END IF;
    WITH next AS MATERIALIZED (
        SELECT l.ctid AS row_id, coalesce(u.head, l.head) AS head, n."offset", n.due_at, least(p.due_at, s.due_at) AS late_due_at, s.due_at IS NOT NULL AS late_solo,
               n."offset" IS NULL AND p.due_at IS NULL AND s.due_at IS NULL AS drained,
               -- Of keys that come once, one row of sixteen is kept in vain; of one that comes again and again, soon the only one.
               l.kept OR random() < 1.0 / 16 AS kept
        FROM unnest(keys, heads) AS u(key, head)
        CROSS JOIN LATERAL (SELECT x.ctid, x.* FROM vulkan.keys x
                            WHERE x.group_id = g.group_id AND x.key_hash = u.key ORDER BY x.token DESC LIMIT 1) l
        LEFT JOIN LATERAL (
            SELECT e."offset", greatest(e.deliver_at, x.run_at) AS due_at
            FROM vulkan.events e
            LEFT JOIN vulkan.exceptions x ON x.group_id = g.group_id AND x."offset" = e."offset"
            WHERE e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = l.key_hash
              AND e.partition_key IS NOT NULL
              AND e."offset" > coalesce(u.head, l.head) AND e."offset" > lowest AND e."offset" <= cursor
              AND coalesce(x.status, 'ready') = 'ready'
              AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
            ORDER BY e."offset" LIMIT 1) n ON true
        -- Two look-ups in place of one aggregate: a key can have very many redriven messages.
        LEFT JOIN LATERAL (
            SELECT x.run_at AS due_at FROM vulkan.exceptions x
            WHERE l.redriven AND x.group_id = g.group_id AND x.lane = l.key_hash AND x.status = 'ready' AND NOT x.solo
              AND x."offset" <= coalesce(u.head, l.head) ORDER BY x.run_at LIMIT 1) p ON true
        LEFT JOIN LATERAL (
            SELECT x.run_at AS due_at FROM vulkan.exceptions x
            WHERE l.redriven AND x.group_id = g.group_id AND x.lane = l.key_hash AND x.status = 'ready' AND x.solo
              AND x."offset" <= coalesce(u.head, l.head) ORDER BY x.run_at LIMIT 1) s ON true
    ), gone AS (
        DELETE FROM vulkan.keys l USING next n
        WHERE l.ctid = n.row_id AND n.drained AND NOT n.kept
    )
    UPDATE vulkan.keys l
    SET head = n.head, status = CASE WHEN n.drained THEN 'drained' ELSE 'ready' END, straggler = NULL, through = n.head, worker = NULL, lease_until = NULL,
        kept = l.kept OR n.drained,
        redriven = n.late_due_at IS NOT NULL,
        solo = NOT n.drained AND (n.late_solo OR n.head < l.solo_until),
        -- Never in the past, where nobody may be looking for it any more.
        run_at = greatest(at, least(n.late_due_at, CASE WHEN n."offset" IS NOT NULL THEN coalesce(n.due_at, at) END))
    FROM next n
    WHERE l.ctid = n.row_id AND NOT (n.drained AND NOT n.kept);
END $$;
COMMENT ON FUNCTION vulkan.rest_lanes(vulkan.groups, bigint[], bigint[]) IS 'Internal. Puts lanes that nobody holds into order, their heads moved if given: ready when their next message is due, or drained, and then mostly gone. The caller holds the latch, so the cursor stands still.';

CREATE FUNCTION vulkan.forget_keys() RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    blocks CONSTANT bigint := pg_relation_size('vulkan.keys') / current_setting('block_size')::bigint;
    -- Some blocks anywhere: the cost is bounded however large the table has become, and in the long run each has its turn.
    many   CONSTANT bigint := least(greatest(100, blocks / 100), 1000);
    first  CONSTANT bigint := floor(random() * greatest(blocks - many + 1, 1))::bigint;
    above  CONSTANT tid := format('(%s,0)', first)::tid;
    below  CONSTANT tid := format('(%s,0)', first + many)::tid;
    since  CONSTANT timestamptz := clock_timestamp() - interval '10 seconds';
    ids    integer[];
    gone   integer := 0;
BEGIN
    -- Each under its group's latch, as a claim finds a key's row and replaces it.
    SELECT array_agg(i.group_id) INTO ids
    FROM (SELECT DISTINCT k.group_id FROM vulkan.keys k
          WHERE k.ctid >= above AND k.ctid < below AND k.status = 'drained' AND k.run_at < since OFFSET 0) i
    WHERE pg_try_advisory_xact_lock(1459617792, i.group_id);
    IF ids IS NOT NULL THEN
        DELETE FROM vulkan.keys k
        WHERE k.ctid = ANY (ARRAY(SELECT n.ctid FROM vulkan.keys n WHERE n.ctid >= above AND n.ctid < below
                                  AND n.status = 'drained' AND n.run_at < since AND n.group_id = ANY (ids)));
        GET DIAGNOSTICS gone = ROW_COUNT;
    END IF;
    RETURN gone;
END $$;
COMMENT ON FUNCTION vulkan.forget_keys() IS 'Internal. Deletes rows of keys that have been drained for ten seconds, in a part of the table. Returns how many.';
