-- Leases: extended by who works, reaped by anybody once they have run out.

CREATE FUNCTION vulkan.extend(group_ids integer[], offsets bigint[], tokens bigint[], lanes bigint[])
RETURNS TABLE (group_id integer, event_offset bigint, token bigint)
LANGUAGE plpgsql ROWS 10 AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true) WHERE pg_current_xact_id_if_assigned() IS NULL;
    -- Past what a settlement holds: it waits for nobody, so it deadlocks with nobody.
    UPDATE vulkan.exceptions x SET lease_until = clock_timestamp() + g.lease
    FROM unnest(group_ids, offsets, tokens, lanes) AS u(group_id, o, token, lane)
    JOIN vulkan.groups g ON g.group_id = u.group_id
    CROSS JOIN LATERAL (SELECT n.ctid, n.token, n.lease_until FROM vulkan.exceptions n
                        WHERE n.group_id = u.group_id AND n."offset" = u.o LIMIT 1 FOR UPDATE SKIP LOCKED) y
    WHERE u.lane IS NULL AND y.token = u.token AND y.lease_until IS NOT NULL AND x.ctid = y.ctid;
    UPDATE vulkan.keys l SET lease_until = clock_timestamp() + g.lease
    FROM unnest(group_ids, tokens, lanes) AS u(group_id, token, lane)
    JOIN vulkan.groups g ON g.group_id = u.group_id
    CROSS JOIN LATERAL (SELECT n.ctid, n.token, n.lease_until FROM vulkan.keys n
                        WHERE n.group_id = u.group_id AND n.key_hash = u.lane AND n.token = u.token
                        LIMIT 1 FOR UPDATE SKIP LOCKED) y
    WHERE y.token = u.token AND y.lease_until IS NOT NULL AND l.ctid = y.ctid;
    UPDATE vulkan.claims c SET lease_until = clock_timestamp() + g.lease
    FROM (SELECT v.group_id, v.token, max(v.o) AS o FROM unnest(group_ids, offsets, tokens, lanes) AS v(group_id, o, token, lane)
          WHERE v.lane IS NULL GROUP BY 1, 2) u
    JOIN vulkan.groups g ON g.group_id = u.group_id
    CROSS JOIN LATERAL (SELECT n.ctid, n.token, n.lease_until FROM vulkan.claims n
                        WHERE n.group_id = u.group_id AND n.hi >= u.o ORDER BY n.hi LIMIT 1 FOR UPDATE SKIP LOCKED) y
    WHERE y.token = u.token AND y.lease_until IS NOT NULL AND c.ctid = y.ctid;
    RETURN QUERY
    SELECT u.group_id, u.o, u.token
    FROM unnest(group_ids, offsets, tokens, lanes) AS u(group_id, o, token, lane)
    WHERE NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE u.lane IS NULL AND x.group_id = u.group_id AND x."offset" = u.o
                      -- Done with the token it was handed out with: its holder has completed it.
                      AND x.token = u.token AND (x.lease_until IS NOT NULL OR x.status = 'done'))
      AND NOT EXISTS (SELECT FROM vulkan.keys l WHERE l.group_id = u.group_id AND l.key_hash = u.lane
                      AND l.token = u.token AND l.lease_until IS NOT NULL)
      AND NOT (u.lane IS NULL AND coalesce((
          SELECT c.token = u.token AND c.settled_at IS NULL FROM vulkan.claims c
          WHERE c.group_id = u.group_id AND c.hi >= u.o ORDER BY c.hi LIMIT 1), false));
END $$;
COMMENT ON FUNCTION vulkan.extend(integer[], bigint[], bigint[], bigint[]) IS 'Extends the leases of messages still in work, by their group''s lease from now: arrays of group, offset, token, and lane (NULL unless keyed). Returns those whose lease is lost: their settlement will be stale, so their handlers may as well stop. Call it in a transaction of its own, or after what you write: it commits asynchronously.';

CREATE FUNCTION vulkan.reap_messages(claim vulkan.claims, g vulkan.groups, lost boolean) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    requested CONSTANT boolean := EXISTS (SELECT FROM vulkan.cancel_requests c WHERE c.group_id = g.group_id);
    freed     integer;
BEGIN
    INSERT INTO vulkan.exceptions (group_id, "offset", status, attempts, token, solo, claimed_at, worker, last_error)
    -- One of many, and who took the worker with it is not known: none of them is dead of it.
    SELECT g.group_id, e."offset", CASE WHEN n.note IS NOT NULL THEN 'dead' ELSE 'ready' END,
           CASE WHEN n.note IS NOT NULL THEN lost::integer ELSE least(lost::integer, g.max_attempts - 1) END,
           nextval('vulkan.token_seq'), lost, claim.claimed_at, claim.worker,
           nullif(concat_ws('; ', n.note, CASE WHEN lost THEN format('the lease of worker "%s" expired', claim.worker) END), '')
    FROM vulkan.events e
    -- Who asks for a message to stop holds the claim while the request is written.
    LEFT JOIN LATERAL vulkan.cancel_note(g.group_id, e."offset") n(note) ON requested
    WHERE e.stream_id = g.stream_id AND e."offset" > claim.lo AND e."offset" <= claim.hi AND e.partition_key IS NULL
      AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS freed = ROW_COUNT;
    IF requested THEN
        PERFORM vulkan.heed_cancels(g, false);
    END IF;
    RETURN freed;
END $$;
COMMENT ON FUNCTION vulkan.reap_messages(vulkan.claims, vulkan.groups, boolean) IS 'Internal. Turns the messages of an open claim''s range into exceptions: lost with its lease, so the attempt counts unless it was the only one, or only taken back by a replay. The caller holds the claim''s row.';

CREATE FUNCTION vulkan.reap_claim(claim vulkan.claims, g vulkan.groups, lost boolean) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    freed CONSTANT integer := vulkan.reap_messages(claim, g, lost);
BEGIN
    UPDATE vulkan.claims c SET settled_at = clock_timestamp(), lease_until = NULL, token = nextval('vulkan.token_seq')
    WHERE c.group_id = claim.group_id AND c.hi = claim.hi;
    RETURN freed;
END $$;
COMMENT ON FUNCTION vulkan.reap_claim(vulkan.claims, vulkan.groups, boolean) IS 'Internal. Turns the messages of an open claim into exceptions and closes it. The caller holds the claim''s row.';

CREATE FUNCTION vulkan.reap_claim_singly(claim vulkan.claims, g vulkan.groups) RETURNS boolean
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    one   vulkan.claims := claim;
    whole boolean := true;
BEGIN
    FOR one.hi IN SELECT e."offset" FROM vulkan.events e
                  WHERE e.stream_id = g.stream_id AND e."offset" > claim.lo AND e."offset" <= claim.hi
                    AND e.partition_key IS NULL LOOP
        one.lo := one.hi - 1;
        BEGIN
            PERFORM vulkan.reap_messages(one, g, lost => true);
        EXCEPTION WHEN OTHERS THEN
            whole := false;
            RAISE WARNING 'message % of group "%" could not be reaped: %', one.hi, g.name, SQLERRM;
        END;
    END LOOP;
    -- What fails stays in the claim and waits a minute; its worker is fenced, since the others are free.
    UPDATE vulkan.claims c SET token = nextval('vulkan.token_seq'),
        settled_at = CASE WHEN whole THEN clock_timestamp() END,
        lease_until = CASE WHEN NOT whole THEN clock_timestamp() + interval '1 minute' END
    WHERE c.group_id = claim.group_id AND c.hi = claim.hi;
    RETURN whole;
END $$;
COMMENT ON FUNCTION vulkan.reap_claim_singly(vulkan.claims, vulkan.groups) IS 'Internal. reap_claim() message by message, for a claim with a bad one in it: frees the others. Returns whether all went.';

CREATE FUNCTION vulkan.reap_exceptions(group_ids integer[], offsets bigint[]) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    freed integer;
BEGIN
    -- Only who was alone is dead of a lost lease: another one may have taken the worker with it.
    UPDATE vulkan.exceptions x
    SET status = CASE WHEN (x.attempts >= g.max_attempts AND x.solo) OR n.note IS NOT NULL THEN 'dead' ELSE 'ready' END, token = nextval('vulkan.token_seq'),
        attempts = CASE WHEN x.solo OR n.note IS NOT NULL THEN x.attempts ELSE least(x.attempts, g.max_attempts - 1) END,
        solo = true, run_at = clock_timestamp(), lease_until = NULL, updated_at = clock_timestamp(),
        last_error = concat_ws('; ', n.note, format('the lease of worker "%s" expired', x.worker))
    FROM unnest(group_ids, offsets) AS u(group_id, o) JOIN vulkan.groups g USING (group_id)
    LEFT JOIN LATERAL vulkan.cancel_note(u.group_id, u.o) n(note) ON true
    WHERE x.group_id = u.group_id AND x."offset" = u.o;
    GET DIAGNOSTICS freed = ROW_COUNT;
    DELETE FROM vulkan.cancel_requests c USING unnest(group_ids, offsets) AS u(group_id, o)
    WHERE c.group_id = u.group_id AND c."offset" = u.o;
    RETURN freed;
END $$;
COMMENT ON FUNCTION vulkan.reap_exceptions(integer[], bigint[]) IS 'Internal. Gives messages whose own lease ran out back to their group. The caller holds their rows.';

CREATE FUNCTION vulkan.reap_lanes(g vulkan.groups, key_hashes bigint[]) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    keys     bigint[];
    tokens   bigint[];
    firsts   bigint[];
    outcomes text[];
    errors   text[];
    late     bigint[];
BEGIN
    WITH expired AS (
        UPDATE vulkan.keys l
        SET solo_until = greatest(l.solo_until, l.through), token = nextval('vulkan.token_seq')
        WHERE l.group_id = g.group_id AND l.key_hash = ANY (key_hashes) AND l.lease_until IS NOT NULL
        RETURNING l.*
    )
    SELECT array_agg(l.key_hash), array_agg(l.token), array_agg(l.straggler),
           array_agg(coalesce(l.straggler, first."offset", l.through)),
           array_agg(CASE WHEN coalesce(l.straggler, first."offset") IS NULL THEN 'done'
                          -- Dead of a lost lease is only who was alone.
                          WHEN coalesce(story.attempts, 0) + 1 >= g.max_attempts
                               AND NOT CASE WHEN l.straggler IS NULL THEN l.solo ELSE coalesce(story.solo, false) END
                               AND NOT EXISTS (SELECT FROM vulkan.cancel_requests c
                                               WHERE c.group_id = g.group_id AND c."offset" = coalesce(l.straggler, first."offset")) THEN 'release'
                          ELSE 'retry' END),
           array_agg(format('the lease of worker "%s" expired', l.worker))
    INTO keys, tokens, late, firsts, outcomes, errors
    FROM expired l
    LEFT JOIN LATERAL (
        SELECT e."offset" FROM vulkan.events e
        LEFT JOIN vulkan.exceptions x ON x.group_id = g.group_id AND x."offset" = e."offset"
        WHERE e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = l.key_hash AND e.partition_key IS NOT NULL
          AND e."offset" > l.head AND e."offset" <= l.through AND coalesce(x.status, 'ready') = 'ready'
          AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
        ORDER BY e."offset" LIMIT 1) first ON true
    LEFT JOIN LATERAL (SELECT x.attempts, x.solo FROM vulkan.exceptions x
                       WHERE x.group_id = g.group_id AND x."offset" = coalesce(l.straggler, first."offset") LIMIT 1) story ON true;
    IF keys IS NULL THEN
        RETURN 0;
    END IF;
    -- The first message not known done may have been in work: its attempt counts. Those behind it
    -- are only handed out alone from now on (solo_until).
    PERFORM vulkan.settle_lanes(g, firsts, tokens, keys, outcomes, array_fill('0'::interval, ARRAY[cardinality(keys)]), errors);
    WITH suspect AS (
        UPDATE vulkan.exceptions x SET solo = true
        FROM unnest(late) AS u(o)
        WHERE x.group_id = g.group_id AND x."offset" = u.o AND x.status = 'ready'
        RETURNING x.lane
    )
    UPDATE vulkan.keys l SET solo = true FROM suspect s
    WHERE l.group_id = g.group_id AND l.key_hash = s.lane AND l.status = 'ready';
    IF EXISTS (SELECT FROM vulkan.cancel_requests c WHERE c.group_id = g.group_id) THEN
        PERFORM vulkan.heed_cancels(g, true);
    END IF;
    RETURN cardinality(keys);
END $$;
COMMENT ON FUNCTION vulkan.reap_lanes(vulkan.groups, bigint[]) IS 'Internal. Takes lanes whose lease ran out away from their worker. The caller holds the latch and their rows.';

CREATE FUNCTION vulkan.reap(look_back interval DEFAULT NULL, at_most integer DEFAULT 1000)
RETURNS TABLE (claims integer, exceptions integer, lanes integer)
LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
#variable_conflict use_column
DECLARE
    at      CONSTANT timestamptz := clock_timestamp();
    since   CONSTANT timestamptz := coalesce(at - look_back, '-infinity');
    g       vulkan.groups;
    expired vulkan.claims;
    ids     integer[];
    due     bigint[];
BEGIN
    claims := 0;
    exceptions := 0;
    lanes := 0;
    PERFORM set_config('synchronous_commit', 'off', true) WHERE pg_current_xact_id_if_assigned() IS NULL;
    -- Latches first and in order, before any row lock: a settlement takes them the same way.
    FOR g IN SELECT x.* FROM vulkan.groups x
             WHERE (SELECT true FROM vulkan.keys l WHERE l.group_id = x.group_id AND l.status = 'processing'
                    AND l.lease_until < at AND l.lease_until > since LIMIT 1)
                OR (x.prefixed AND (SELECT true FROM vulkan.keys l WHERE l.group_id = x.group_id AND l.status = 'parked' LIMIT 1))
             ORDER BY x.group_id LOOP
        -- A handler's transaction that completed a message and does not end must not keep the latches here, and
        -- through them the groups, waiting for it; nor one group the others.
        BEGIN
            PERFORM vulkan.latch(g.group_id);
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
        SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = g.group_id;
        IF g.prefixed THEN
            PERFORM vulkan.unpark_all(g);
        END IF;
        SELECT array_agg(l.key_hash) INTO due
        FROM (SELECT y.key_hash FROM vulkan.keys y
              WHERE y.group_id = g.group_id AND y.status = 'processing' AND y.lease_until < at AND y.lease_until > since
              ORDER BY y.lease_until LIMIT at_most FOR UPDATE SKIP LOCKED) l;
        CONTINUE WHEN due IS NULL;
        BEGIN
            lanes := lanes + vulkan.reap_lanes(g, due);
        EXCEPTION WHEN OTHERS THEN
            -- One bad row must not wedge the others: one by one, and what fails waits a minute.
            FOR i IN 1 .. cardinality(due) LOOP
                BEGIN
                    lanes := lanes + vulkan.reap_lanes(g, due[i:i]);
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'lane % of group "%" could not be reaped: %', due[i], g.name, SQLERRM;
                    UPDATE vulkan.keys l SET lease_until = clock_timestamp() + interval '1 minute'
                    WHERE l.group_id = g.group_id AND l.key_hash = due[i] AND l.lease_until IS NOT NULL;
                END;
            END LOOP;
        END;
    END LOOP;
    SELECT array_agg(x.group_id), array_agg(x."offset") INTO ids, due
    FROM (SELECT y.group_id, y."offset" FROM vulkan.groups o
          CROSS JOIN LATERAL (SELECT e.group_id, e."offset" FROM vulkan.exceptions e
              WHERE e.group_id = o.group_id AND e.status = 'processing' AND e.lease_until < at AND e.lease_until > since
              ORDER BY e.lease_until LIMIT at_most FOR UPDATE SKIP LOCKED) y LIMIT at_most) x;
    IF ids IS NOT NULL THEN
        BEGIN
            exceptions := vulkan.reap_exceptions(ids, due);
        EXCEPTION WHEN OTHERS THEN
            FOR i IN 1 .. cardinality(ids) LOOP
                BEGIN
                    exceptions := exceptions + vulkan.reap_exceptions(ids[i:i], due[i:i]);
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'message % of group % could not be reaped: %', due[i], ids[i], SQLERRM;
                    UPDATE vulkan.exceptions x SET lease_until = clock_timestamp() + interval '1 minute'
                    WHERE x.group_id = ids[i] AND x."offset" = due[i];
                END;
            END LOOP;
        END;
    END IF;
    FOR expired IN SELECT y.* FROM vulkan.groups o
                   CROSS JOIN LATERAL (SELECT c.* FROM vulkan.claims c
                       WHERE c.group_id = o.group_id AND c.settled_at IS NULL AND c.lease_until < at AND c.lease_until > since
                       ORDER BY c.lease_until LIMIT 50 FOR UPDATE SKIP LOCKED) y LIMIT 50 LOOP
        SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = expired.group_id;
        BEGIN
            PERFORM vulkan.reap_claim(expired, g, lost => true);
            claims := claims + 1;
        EXCEPTION WHEN OTHERS THEN
            claims := claims + vulkan.reap_claim_singly(expired, g)::integer;
        END;
    END LOOP;
    PERFORM vulkan.forget_outcomes(since);
    PERFORM vulkan.forget_keys();
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION vulkan.reap(interval, integer) IS 'Gives back what the lost leases of all groups hold: the attempt counts, the error names whose lease it was, and it is handed out alone. A message at its last attempt is dead of that only if it was handed out alone, else it has one more: any of its mates may have taken the worker with it. look_back bounds how old a lost lease may be (NULL: any age), which keeps the look cheap while old snapshots are held. Any number of callers may call it at any time, in a transaction of its own: it keeps the latches of groups to its end.';

CREATE FUNCTION vulkan.look(group_ids integer[])
RETURNS TABLE (group_id integer, due boolean, pending boolean, next_at timestamptz, limited boolean)
LANGUAGE plpgsql ROWS 10 AS $$
DECLARE
    g      vulkan.groups;
    h      record;
    a      record;
    at     timestamptz := clock_timestamp();
    of_stream integer;
BEGIN
    FOR g IN SELECT x.* FROM vulkan.groups x WHERE x.group_id = ANY (look.group_ids) ORDER BY x.stream_id LOOP
        group_id := g.group_id;
        due := false;
        pending := false;
        next_at := NULL;
        limited := g.max_in_flight IS NOT NULL OR g.prefixed OR g.rate IS NOT NULL;
        IF g.paused_at IS NULL THEN
            next_at := vulkan.next_ready(g.group_id, vulkan.ready_mark(g.group_id));
            -- Once a stream: each group of it may be told the same.
            IF of_stream IS DISTINCT FROM g.stream_id THEN
                SELECT * INTO h FROM vulkan.horizon(g.stream_id);
                of_stream := g.stream_id;
            END IF;
            pending := h.pending;
            due := coalesce(next_at <= at, false) OR vulkan.has_events(g.stream_id, vulkan.cursor_of(g.group_id), h.lso);
            IF due AND g.limited THEN
                -- At a limit nothing is due until there is room, which the worker that makes it sees.
                SELECT * INTO a FROM vulkan.allowance(g);
                IF a.room < 1 OR a.next_at IS NOT NULL THEN
                    due := false;
                    pending := false;
                    next_at := a.next_at;
                END IF;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION vulkan.look(integer[]) IS 'What an idle worker asks about all its groups at once: is anything due now, are publishers in flight (so that looking again soon pays), and when does the next retry or delayed message fall due, or the group''s rate or breaker let it go on. limited: what it has in flight or begins is limited, so that what ends may make room.';

CREATE FUNCTION vulkan.has_events(stream_id integer, after bigint, up_to bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN after < up_to AND EXISTS (
        SELECT FROM vulkan.events e
        WHERE e.stream_id = has_events.stream_id AND e."offset" > after AND e."offset" <= up_to);
END $$;
COMMENT ON FUNCTION vulkan.has_events(integer, bigint, bigint) IS 'Internal. Whether a stream has an event in a range.';
