-- Claim: due exceptions first, then ready lanes, then the log.

CREATE TYPE vulkan.message AS (
    "offset"      bigint,
    kind          text,
    partition_key text,
    payload       jsonb,
    headers       jsonb,
    published_at  timestamptz,
    attempt       integer,
    token         bigint,
    claim_hi      bigint,
    lane          bigint,
    solo          boolean
);
COMMENT ON TYPE vulkan.message IS 'An event as one group hands it out. attempt: 1 is the first. token: the fence that settling it needs. claim_hi: the claim it belongs to, if any. lane: messages of one lane are handled one after the other. solo: it came back from a lost lease; handle no second such message beside it.';

CREATE FUNCTION vulkan.claim(
    group_id integer, worker text, max_messages integer DEFAULT 100, max_lanes integer DEFAULT 16,
    take_solo boolean DEFAULT true, max_bytes bigint DEFAULT 8388608
) RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 100 AS $$
DECLARE
    g      vulkan.groups;
    mark   vulkan.ready_marks;
    at     timestamptz;
    room   integer := max_messages;
    got    integer;
    cursor bigint;
BEGIN
    -- Taken alone only by a pause, which waits for the claims under way.
    IF NOT pg_try_advisory_xact_lock_shared(1459617796, group_id) THEN
        RETURN;
    END IF;
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = claim.group_id;
    IF g.mode IS DISTINCT FROM 'lifecycle' THEN
        RAISE EXCEPTION 'there is no lifecycle group with id %', group_id
            USING ERRCODE = 'VK002', HINT = 'See vulkan.groups; a cursor group is taken by vulkan.take_cursor() and read by vulkan.read_events().';
    END IF;
    IF g.paused_at IS NOT NULL OR room < 1 THEN
        RETURN;
    END IF;
    -- Losing a claim in a server crash repeats messages, and loses none. What the caller's transaction wrote before is another matter.
    PERFORM set_config('synchronous_commit', 'off', true) WHERE pg_current_xact_id_if_assigned() IS NULL;
    IF g.limited THEN
        RETURN QUERY SELECT * FROM vulkan.claim_limited(g.group_id, worker, room, max_lanes, take_solo, max_bytes);
        RETURN;
    END IF;
    mark := vulkan.ready_mark(g.group_id);
    at := clock_timestamp();
    RETURN QUERY SELECT * FROM vulkan.claim_exceptions(g, worker, room, take_solo, mark.exceptions_from);
    GET DIAGNOSTICS got = ROW_COUNT;
    room := room - got;
    IF room > 0 AND max_lanes > 0 THEN
        RETURN QUERY SELECT * FROM vulkan.claim_lanes(g, worker, room, max_lanes, take_solo AND got = 0, mark.lanes_from);
        GET DIAGNOSTICS got = ROW_COUNT;
        room := room - got;
    END IF;
    IF mark.marked_at IS NULL AND clock_timestamp() - at > interval '5 milliseconds' THEN
        PERFORM vulkan.mark_ready(g);
    END IF;
    -- A claimer that finds the latch taken does not queue up: it works, or comes back.
    IF room > 0 AND pg_try_advisory_xact_lock(1459617792, group_id) THEN
        -- What the group binds could change until now, and so could its limits.
        SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = claim.group_id;
        IF g.limited THEN
            RETURN;
        END IF;
        -- Again where all of a stretch was passed over, so that no row means nothing to do.
        FOR i IN 1 .. 10 LOOP
            cursor := vulkan.cursor_of(g.group_id);
            RETURN QUERY SELECT * FROM vulkan.claim_log(g, worker, room, max_bytes);
            EXIT WHEN FOUND OR vulkan.cursor_of(g.group_id) = cursor;
        END LOOP;
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.claim(integer, text, integer, integer, boolean, bigint) IS 'Hands out up to max_messages messages of a group under its lease, keyed ones from up to max_lanes lanes at a time, at most one that came back from a lost lease and only with take_solo. A group with limits hands out no more than they leave room for. Give back each with settle(), or extend() its lease. Call it in a transaction of its own: it commits asynchronously. Nothing to do gives no row. Raises VK002.';

CREATE FUNCTION vulkan.ready_mark(group_id integer) RETURNS vulkan.ready_marks
LANGUAGE plpgsql STABLE AS $$
DECLARE
    mark vulkan.ready_marks;
BEGIN
    SELECT m.* INTO mark FROM vulkan.ready_marks m WHERE m.group_id = ready_mark.group_id ORDER BY m.marked_at DESC LIMIT 1;
    -- One from the future: the clock was set back.
    IF mark.valid_until > clock_timestamp() AND mark.marked_at <= clock_timestamp() THEN
        RETURN mark;
    END IF;
    RETURN ROW(group_id, NULL, '-infinity', '-infinity', NULL)::vulkan.ready_marks;
END $$;
COMMENT ON FUNCTION vulkan.ready_mark(integer) IS 'Internal. From which run_at on ready exceptions and lanes of a group are worth looking for: everything, unless a mark is valid. What became ready below a mark, in a transaction that took long, is found once the mark is over.';

CREATE FUNCTION vulkan.next_ready(group_id integer, mark vulkan.ready_marks) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT min(d.run_at) FROM (
        (SELECT x.run_at FROM vulkan.exceptions x WHERE x.group_id = next_ready.group_id AND x.status = 'ready' AND x.lane IS NULL AND x.solo
             AND x.run_at >= mark.exceptions_from ORDER BY x.run_at LIMIT 1)
        UNION ALL
        (SELECT x.run_at FROM vulkan.exceptions x WHERE x.group_id = next_ready.group_id AND x.status = 'ready' AND x.lane IS NULL AND NOT x.solo
             AND x.run_at >= mark.exceptions_from ORDER BY x.run_at LIMIT 1)
        UNION ALL
        (SELECT l.run_at FROM vulkan.keys l WHERE l.group_id = next_ready.group_id AND l.status = 'ready' AND l.solo
             AND l.run_at >= mark.lanes_from ORDER BY l.run_at LIMIT 1)
        UNION ALL
        (SELECT l.run_at FROM vulkan.keys l WHERE l.group_id = next_ready.group_id AND l.status = 'ready' AND NOT l.solo
             AND l.run_at >= mark.lanes_from ORDER BY l.run_at LIMIT 1)) d);
END $$;
COMMENT ON FUNCTION vulkan.next_ready(integer, vulkan.ready_marks) IS 'Internal. When the first ready exception or lane of a group is due, of those that its mark says to look for.';

CREATE FUNCTION vulkan.mark_ready(g vulkan.groups, worth interval DEFAULT '3 milliseconds') RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    at         CONSTANT timestamptz := clock_timestamp();
    -- What becomes ready in a transaction that lasts longer is found once the mark is over.
    recent     CONSTANT timestamptz := at - interval '1 second';
    exceptions timestamptz;
    lanes      timestamptz;
    took       interval;
BEGIN
    exceptions := vulkan.next_ready(g.group_id, ROW(g.group_id, at, '-infinity', 'infinity', at)::vulkan.ready_marks);
    lanes := vulkan.next_ready(g.group_id, ROW(g.group_id, at, 'infinity', '-infinity', at)::vulkan.ready_marks);
    took := clock_timestamp() - at;
    IF took >= worth THEN
        INSERT INTO vulkan.ready_marks
        -- A lane that was parked is ready at the time when it became due, long ago.
        VALUES (g.group_id, at, least(exceptions, recent), CASE WHEN g.prefixed THEN '-infinity' ELSE least(lanes, recent) END,
                at + least(greatest(25 * took, interval '2 seconds'), interval '30 seconds'))
        ON CONFLICT DO NOTHING;
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.mark_ready(vulkan.groups, interval) IS 'Internal. Notes from where on ready exceptions and lanes of a group are to be looked for, if to find that out took long enough for a mark to be worth its row. It is valid for 25 times as long as it took, but for at least two and at most thirty seconds.';

CREATE FUNCTION vulkan.claim_exceptions(g vulkan.groups, worker text, max_messages integer, take_solo boolean, ready_from timestamptz)
RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 100 AS $$
DECLARE
    at    CONSTANT timestamptz := clock_timestamp();
    taken bigint[];
BEGIN
    WITH due AS (
        SELECT x.ctid AS row_id FROM vulkan.exceptions x
        WHERE x.group_id = g.group_id AND x.status = 'ready' AND x.lane IS NULL AND NOT x.solo AND x.run_at <= at AND x.run_at >= ready_from
        ORDER BY x.run_at LIMIT max_messages FOR UPDATE SKIP LOCKED
    ), suspect AS (
        SELECT x.ctid AS row_id FROM vulkan.exceptions x
        WHERE x.group_id = g.group_id AND x.status = 'ready' AND x.lane IS NULL AND x.solo AND x.run_at <= at AND x.run_at >= ready_from
        ORDER BY x.run_at LIMIT take_solo::integer FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE vulkan.exceptions x
        SET status = 'processing', attempts = x.attempts + 1, token = nextval('vulkan.token_seq'), worker = claim_exceptions.worker,
            claimed_at = at, lease_until = at + g.lease, updated_at = at
        -- What changed since the statement began has another ctid: it is found the next time.
        WHERE x.ctid = ANY (ARRAY(SELECT d.row_id FROM due d UNION ALL SELECT s.row_id FROM suspect s))
        RETURNING x."offset"
    )
    SELECT array_agg(c."offset") INTO taken FROM claimed c;
    IF taken IS NOT NULL THEN
        RETURN QUERY SELECT * FROM vulkan.exception_messages(g.group_id, g.stream_id, taken);
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.claim_exceptions(vulkan.groups, text, integer, boolean, timestamptz) IS 'Internal. The part of claim() that hands out retries and delayed messages that are due.';

-- Functions that read events plan anew at every call: with the offsets known, the planner opens only
-- the partitions they lie in; a generic plan would lock every partition of the log.
CREATE FUNCTION vulkan.exception_messages(group_id integer, stream_id integer, offsets bigint[])
RETURNS SETOF vulkan.message
LANGUAGE plpgsql STABLE ROWS 100 SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    lowest  CONSTANT bigint := (SELECT min(o) FROM unnest(offsets) AS u(o));
    highest CONSTANT bigint := (SELECT max(o) FROM unnest(offsets) AS u(o));
BEGIN
    RETURN QUERY
    SELECT e."offset", e.kind, e.partition_key, e.payload, e.headers, e.created_at,
           x.attempts, x.token, NULL::bigint, NULL::bigint, x.solo
    FROM unnest(offsets) AS u(o)
    CROSS JOIN LATERAL (SELECT n.attempts, n.token, n.solo FROM vulkan.exceptions n
                        WHERE n.group_id = exception_messages.group_id AND n."offset" = u.o LIMIT 1) x
    CROSS JOIN LATERAL (SELECT n.* FROM vulkan.events n
                        WHERE n.stream_id = exception_messages.stream_id AND n."offset" = u.o
                          AND n."offset" BETWEEN lowest AND highest LIMIT 1) e;
END $$;
COMMENT ON FUNCTION vulkan.exception_messages(integer, integer, bigint[]) IS 'Internal. The events of claimed exceptions.';

-- The events of a short stretch of the log, in order. What is large stays where it is: such an event comes without its payload.
CREATE FUNCTION vulkan.stretch(stream_id integer, after bigint, up_to bigint) RETURNS vulkan.events[]
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN ARRAY(
        SELECT ROW(e."offset", e.created_at, e.deliver_at, e.stream_id, e.kind, e.partition_key,
                   CASE WHEN e.small THEN e.payload END, CASE WHEN e.small THEN e.headers END)::vulkan.events
        FROM (SELECT x.*, pg_column_size(x.payload) + coalesce(pg_column_size(x.headers), 0) < 4000 AS small
              FROM vulkan.events x
              WHERE x.stream_id = stretch.stream_id AND x."offset" > after AND x."offset" <= up_to) e
        ORDER BY e."offset");
END $$;
COMMENT ON FUNCTION vulkan.stretch(integer, bigint, bigint) IS 'Internal. The events of a stream in a range of offsets, in order; of large ones, payload and headers are NULL.';

CREATE FUNCTION vulkan.claim_log(g vulkan.groups, worker text, max_messages integer, max_bytes bigint)
RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 500 AS $$
DECLARE
    at     CONSTANT timestamptz := clock_timestamp();
    cursor CONSTANT bigint := vulkan.cursor_of(g.group_id);
    top    bigint;
    b      vulkan.bindings;
    few    vulkan.events[];
BEGIN
    SELECT h.lso INTO top FROM vulkan.horizon(g.stream_id) h;
    IF top <= cursor THEN
        RETURN;
    END IF;
    b := vulkan.binding_at(g.group_id, cursor + 1);
    -- At the end of the log, where most claims of a group that keeps up are, there is little to read and to plan.
    IF top - cursor <= least(max_messages, 200) THEN
        few := vulkan.stretch(g.stream_id, cursor, top);
        IF vulkan.are_plain(few, at, max_bytes)
           AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" > cursor) THEN
            RETURN QUERY SELECT * FROM vulkan.claim_few(g, worker, cursor, top, at, b, few);
            RETURN;
        END IF;
    END IF;
    RETURN QUERY SELECT * FROM vulkan.claim_range(g, worker, max_messages, max_bytes, cursor, top, at, b);
END $$;
COMMENT ON FUNCTION vulkan.claim_log(vulkan.groups, text, integer, bigint) IS 'Internal. The part of claim() that moves the cursor: the caller holds the group''s latch.';

CREATE FUNCTION vulkan.are_plain(few vulkan.events[], at timestamptz, max_bytes bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT coalesce(bool_and(e.partition_key IS NULL AND e.payload IS NOT NULL AND (e.deliver_at IS NULL OR e.deliver_at <= at))
                            AND sum(pg_column_size(e.payload)) < max_bytes, true)
            FROM unnest(few) e);
END $$;
COMMENT ON FUNCTION vulkan.are_plain(vulkan.events[], timestamptz, bigint) IS 'Internal. Whether none of these events is large, delayed, or has a partition key, and all together stay below so many bytes.';

CREATE FUNCTION vulkan.claim_few(
    g vulkan.groups, worker text, cursor bigint, top bigint, at timestamptz, b vulkan.bindings, few vulkan.events[]
) RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 10 AS $$
DECLARE
    meant     vulkan.events[] := few;
    new_token bigint;
BEGIN
    IF b.everything IS NOT TRUE THEN
        meant := ARRAY(SELECT e FROM unnest(few) e WHERE vulkan.matches(e.kind, e.headers, b) ORDER BY e."offset");
    END IF;
    IF cardinality(meant) = 0 THEN
        PERFORM vulkan.pass(g, cursor, top);
        RETURN;
    END IF;
    new_token := nextval('vulkan.token_seq');
    INSERT INTO vulkan.claims (group_id, lo, hi, token, worker, claimed_at, lease_until, messages, origin)
    VALUES (g.group_id, cursor, top, new_token, claim_few.worker, at, at + g.lease, cardinality(meant), 'claim');
    RETURN QUERY
    SELECT e."offset", e.kind, NULL::text, e.payload, e.headers, e.created_at, 1, new_token, top, NULL::bigint, false
    FROM unnest(meant) e;
END $$;
COMMENT ON FUNCTION vulkan.claim_few(vulkan.groups, text, bigint, bigint, timestamptz, vulkan.bindings, vulkan.events[]) IS 'Internal. Claims the range (cursor, top], of which these are the events, none of them keyed, delayed or with a row of its own.';

CREATE FUNCTION vulkan.claim_range(
    g vulkan.groups, worker text, max_messages integer, max_bytes bigint, cursor bigint, top bigint, at timestamptz, b vulkan.bindings
) RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 500 SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    scan_limit CONSTANT integer := greatest(20 * max_messages, 10000);
    batch      record;
    claim_hi   bigint;
    new_token  bigint;
    plain      boolean := false;
    marked     boolean;
BEGIN
    -- Mostly nothing has to be looked at one by one.
    IF b.everything THEN
        SELECT count(*)::integer AS messages, max(e."offset") AS hi, count(e.partition_key)::integer AS keyed,
               count(*) FILTER (WHERE e.deliver_at > at)::integer AS delayed, coalesce(sum(e.size) >= max_bytes, false) AS cut
        INTO batch
        FROM (SELECT y."offset", y.partition_key, y.deliver_at, pg_column_size(y.payload) AS size
              FROM vulkan.events y
              WHERE y.stream_id = g.stream_id AND y."offset" > cursor AND y."offset" <= top
              ORDER BY y."offset" LIMIT max_messages) e;
        plain := batch.keyed = 0 AND batch.delayed = 0 AND NOT batch.cut;
    END IF;
    IF NOT plain THEN
        -- Looks at so many events in one go, and takes those that can be handed out: what does not match
        -- is passed over, and so is a key that has its lane, since the lane reaches up to the cursor.
        SELECT count(*)::integer AS messages, max(m."offset") AS hi, count(m.partition_key)::integer AS keyed,
               count(*) FILTER (WHERE m.deliver_at > at AND m.partition_key IS NULL)::integer AS delayed, coalesce(bool_or(m.cut), false) AS cut
        INTO batch
        FROM (SELECT e."offset", e.partition_key, e.deliver_at, e.bytes - e.size < max_bytes AS fits,
                     e.bytes >= max_bytes AS cut
              FROM (SELECT x."offset", x.partition_key, x.deliver_at, x.size,
                           sum(x.size) OVER (ORDER BY x."offset" ROWS UNBOUNDED PRECEDING) AS bytes
                    FROM (SELECT y."offset", y.kind, y.headers, y.partition_key, y.deliver_at, pg_column_size(y.payload) AS size
                          FROM vulkan.events y
                          WHERE y.stream_id = g.stream_id AND y."offset" > cursor AND y."offset" <= top
                          ORDER BY y."offset" LIMIT scan_limit) x
                    WHERE (b.everything OR vulkan.matches(x.kind, x.headers, b))
                      AND coalesce((SELECT k.status FROM vulkan.keys k
                                    WHERE k.group_id = g.group_id AND k.key_hash = hashtextextended(x.partition_key, 0)
                                    ORDER BY k.token DESC LIMIT 1), 'drained') = 'drained'
                    ORDER BY x."offset" LIMIT max_messages) e) m
        WHERE m.fits;
    END IF;
    IF batch.cut OR batch.messages = max_messages THEN
        claim_hi := batch.hi;
    ELSE
        SELECT e."offset" INTO claim_hi FROM vulkan.events e
        WHERE e.stream_id = g.stream_id AND e."offset" > cursor AND e."offset" <= top
        ORDER BY e."offset" OFFSET scan_limit - 1 LIMIT 1;
        claim_hi := coalesce(claim_hi, top);
    END IF;
    IF batch.messages = 0 THEN
        PERFORM vulkan.pass(g, cursor, claim_hi);
        RETURN;
    END IF;
    new_token := nextval('vulkan.token_seq');
    INSERT INTO vulkan.claims (group_id, lo, hi, token, worker, claimed_at, lease_until, messages, origin)
    VALUES (g.group_id, cursor, claim_hi, new_token, claim_range.worker, at, at + g.lease, batch.messages - batch.keyed - batch.delayed, 'claim');
    -- Rows above the cursor: somebody skipped a message before its turn.
    marked := EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" > cursor);
    IF batch.delayed > 0 THEN
        INSERT INTO vulkan.exceptions (group_id, "offset", status, attempts, token, run_at)
        SELECT g.group_id, e."offset", 'ready', 0, 0, e.deliver_at
        FROM vulkan.events e
        WHERE e.stream_id = g.stream_id AND e."offset" > cursor AND e."offset" <= claim_hi
          AND e.deliver_at > at AND e.partition_key IS NULL
          AND (b.everything OR vulkan.matches(e.kind, e.headers, b))
        ON CONFLICT DO NOTHING;
        marked := true;
    END IF;
    IF batch.keyed > 0 THEN
        PERFORM vulkan.open_lanes(g, claim_range.worker, new_token, cursor, claim_hi, at, marked);
    END IF;
    RETURN QUERY
    SELECT e."offset", e.kind, e.partition_key, e.payload, e.headers, e.created_at,
           1, new_token, claim_hi, l.key_hash, false
    FROM vulkan.events e
    LEFT JOIN vulkan.keys l
        ON batch.keyed > 0 AND l.group_id = g.group_id AND l.key_hash = hashtextextended(e.partition_key, 0)
       AND l.token = new_token AND e."offset" <= l.through
    WHERE e.stream_id = g.stream_id AND e."offset" > cursor AND e."offset" <= claim_hi
      AND (b.everything OR vulkan.matches(e.kind, e.headers, b))
      AND (e.partition_key IS NULL OR l.key_hash IS NOT NULL)
      AND NOT (marked AND EXISTS (SELECT FROM vulkan.exceptions x
                                  WHERE x.group_id = g.group_id AND x."offset" = e."offset" AND x."offset" > cursor))
    ORDER BY e."offset";
    IF NOT FOUND THEN
        -- All of it is delayed or was skipped: nobody got anything, so nobody would settle it.
        UPDATE vulkan.claims c SET settled_at = at, lease_until = NULL WHERE c.group_id = g.group_id AND c.hi = claim_hi;
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.claim_range(vulkan.groups, text, integer, bigint, bigint, bigint, timestamptz, vulkan.bindings) IS 'Internal. Claims from the cursor on as much of the log as the limits allow, its last stable offset being top.';

CREATE FUNCTION vulkan.pass(g vulkan.groups, cursor bigint, up_to bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    beginning bigint := cursor;
BEGIN
    -- One row for a stretch without messages, not one for each look at it.
    DELETE FROM vulkan.claims c WHERE c.group_id = g.group_id AND c.hi = pass.cursor AND c.origin = 'pass'
    RETURNING c.lo INTO beginning;
    INSERT INTO vulkan.claims (group_id, lo, hi, token, messages, origin, settled_at)
    VALUES (g.group_id, coalesce(beginning, pass.cursor), up_to, 0, 0, 'pass', clock_timestamp());
END $$;
COMMENT ON FUNCTION vulkan.pass(vulkan.groups, bigint, bigint) IS 'Internal. Moves the cursor over a range in which nothing matches.';
