-- Replay: a group set to another position of its stream.

ALTER TABLE vulkan.groups ADD COLUMN replayed_through bigint;
COMMENT ON COLUMN vulkan.groups.replayed_through IS 'Up to here messages were handed out before the group was last set back.';

CREATE FUNCTION vulkan.replay(
    stream text, consumer_group text, to_offset bigint DEFAULT NULL, to_time timestamptz DEFAULT NULL,
    to_position text DEFAULT NULL, to_group text DEFAULT NULL, dry_run boolean DEFAULT false
) RETURNS TABLE (cursor_was bigint, cursor_is bigint, again bigint, passed_over bigint, fenced bigint, forgotten bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    g vulkan.groups;
BEGIN
    PERFORM vulkan.latch(vulkan.group_id(stream, consumer_group));
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = vulkan.group_id(stream, consumer_group);
    cursor_is := vulkan.resolve_position(stream, replay.to_offset, replay.to_time, replay.to_position, replay.to_group);
    cursor_was := vulkan.cursor_of(g.group_id);
    IF replay.to_position = 'latest' THEN
        -- The last stable offset can fall back a little (see check()); the latest is not behind us.
        cursor_is := greatest(cursor_is, cursor_was);
    END IF;
    again := vulkan.count_messages(g, cursor_is, cursor_was);
    passed_over := vulkan.count_messages(g, cursor_was, cursor_is);
    fenced := 0;
    forgotten := 0;
    IF cursor_is > cursor_was THEN
        SELECT passed_over + count(*) INTO passed_over FROM vulkan.lane_pending p WHERE p.group_id = g.group_id;
    ELSIF cursor_is < cursor_was THEN
        SELECT count(*) INTO fenced FROM vulkan.deliveries d
        WHERE d.stream = replay.stream AND d.consumer_group = replay.consumer_group AND d.status = 'processing' AND d.event_offset > cursor_is;
        SELECT count(*) INTO forgotten FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" > cursor_is;
    END IF;
    -- Where it stands already, there is nothing to pass over: what waits in lanes goes on waiting.
    IF NOT dry_run AND cursor_is <> cursor_was THEN
        IF cursor_is < cursor_was THEN
            PERFORM vulkan.rewind(g, cursor_is);
            UPDATE vulkan.groups x SET replayed_through = greatest(x.replayed_through, cursor_was)
            WHERE x.group_id = g.group_id;
        ELSE
            INSERT INTO vulkan.claims (group_id, lo, hi, token, messages, origin, settled_at)
            VALUES (g.group_id, cursor_was, cursor_is, 0, 0, 'seek', clock_timestamp());
        END IF;
        PERFORM vulkan.reset_lanes(g, cursor_was, cursor_is);
        -- Not before the lanes: until then a worker may note one.
        DELETE FROM vulkan.checkpoints c WHERE c.group_id = g.group_id AND c."offset" > cursor_is;
        PERFORM vulkan.heed_cancels(g, true);
        -- The active reader of a cursor group is fenced, lest its next commit undoes this.
        UPDATE vulkan.readers r SET term = r.term + 1, lease_until = '-infinity' WHERE r.group_id = g.group_id;
        PERFORM vulkan.ring(g.stream_id);
    END IF;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION vulkan.replay(text, text, bigint, timestamptz, text, text, boolean) IS
'Sets a group to another position, given as for resolve_position(). Backwards, everything above it is handed out again, under the rules bound now: what is in flight there is fenced (its settlement will be stale), retries and dead letters there are forgotten. Forwards, what waits in between is passed over, what waits behind busy keys too; retries and dead letters stay. Keyed work in flight is fenced either way. What was passed over counts as done. A group that stands at the position already is left as it is, its lanes too.
Returns the cursor before and after, and how many messages come again, are passed over, are fenced while in flight, and how many retries and dead letters are forgotten.';

CREATE FUNCTION vulkan.await_completions(group_id integer) RETURNS void
LANGUAGE sql SET lock_timeout = '5s' AS $$ SELECT pg_advisory_xact_lock(1459617795, group_id) $$;
COMMENT ON FUNCTION vulkan.await_completions(integer) IS 'Internal. Waits for the transactions that have called complete() for a group, for five seconds at most, and keeps new ones out until the caller''s transaction ends.';

CREATE FUNCTION vulkan.rewind(g vulkan.groups, x bigint) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    standing vulkan.claims;
    rules    jsonb;
BEGIN
    PERFORM vulkan.await_completions(g.group_id);
    -- In the order in which settlements take them: those without a lane take no latch.
    PERFORM FROM (SELECT FROM vulkan.claims c WHERE c.group_id = g.group_id AND c.hi > rewind.x ORDER BY c.hi FOR UPDATE) c;
    PERFORM FROM (SELECT FROM vulkan.exceptions e WHERE e.group_id = g.group_id AND e."offset" > rewind.x ORDER BY e."offset" FOR UPDATE) e;
    SELECT c.* INTO standing FROM vulkan.claims c
    WHERE c.group_id = g.group_id AND c.hi > rewind.x ORDER BY c.hi LIMIT 1 FOR UPDATE;
    DELETE FROM vulkan.claims c WHERE c.group_id = g.group_id AND c.hi > rewind.x;
    -- The claim that the new position cuts in two keeps its lower half: what was open in it goes on
    -- as retries, since its worker is fenced with the upper one.
    INSERT INTO vulkan.claims (group_id, lo, hi, token, claimed_at, settled_at, messages, origin, worker)
    SELECT g.group_id, least(standing.lo, rewind.x), rewind.x, 0, standing.claimed_at, clock_timestamp(), standing.messages,
           CASE WHEN standing.lo < rewind.x THEN standing.origin ELSE 'seek' END, standing.worker
    ON CONFLICT DO NOTHING;
    IF standing.lo < rewind.x AND standing.settled_at IS NULL THEN
        standing.hi := rewind.x;
        PERFORM vulkan.reap_claim(standing, g, lost => false);
    END IF;
    DELETE FROM vulkan.exceptions e WHERE e.group_id = g.group_id AND e."offset" > rewind.x;
    DELETE FROM vulkan.runs r WHERE r.group_id = g.group_id AND r.lo >= rewind.x;
    UPDATE vulkan.runs r SET hi = rewind.x WHERE r.group_id = g.group_id AND r.hi > rewind.x;
    SELECT b.rules INTO rules FROM vulkan.bindings b WHERE b.group_id = g.group_id ORDER BY b.from_offset DESC LIMIT 1;
    PERFORM vulkan.bind_from(g.group_id, rewind.x, rules);
END $$;
COMMENT ON FUNCTION vulkan.rewind(vulkan.groups, bigint) IS 'Internal. The backward half of replay(). The caller holds the latch.';

CREATE FUNCTION vulkan.reset_lanes(g vulkan.groups, cursor_was bigint, cursor_is bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE vulkan.lanes l SET
        head = CASE WHEN cursor_is < cursor_was THEN least(l.head, cursor_is) ELSE cursor_is END,
        status = CASE WHEN l.status = 'blocked' AND cursor_is < cursor_was AND EXISTS (
            SELECT FROM vulkan.exceptions x WHERE x.group_id = l.group_id AND x.lane = l.key_hash
            AND x.status = 'dead' AND x."offset" > l.head) THEN 'blocked' ELSE 'ready' END,
        token = nextval('vulkan.token_seq'), worker = NULL, lease_until = NULL, straggler = NULL, redriven = true, through = least(l.through, cursor_is)
    WHERE l.group_id = g.group_id;
    PERFORM vulkan.rest_lanes(g, ARRAY(SELECT l.key_hash FROM vulkan.lanes l WHERE l.group_id = g.group_id AND l.status = 'ready'));
END $$;
COMMENT ON FUNCTION vulkan.reset_lanes(vulkan.groups, bigint, bigint) IS 'Internal. Puts the lanes of a group right after its cursor was set. The caller holds the latch.';

CREATE FUNCTION vulkan.count_messages(g vulkan.groups, after bigint, up_to bigint, at_most bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN (SELECT count(*) FROM (
        SELECT FROM vulkan.events e
        WHERE e.stream_id = g.stream_id AND e."offset" > after AND e."offset" <= up_to
          AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))
        LIMIT at_most) m);
END $$;
COMMENT ON FUNCTION vulkan.count_messages(vulkan.groups, bigint, bigint, bigint) IS 'How many messages of a group a range of its stream holds, counted up to at_most.';
