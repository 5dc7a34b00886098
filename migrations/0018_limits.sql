-- Limits of a group, over all its workers: messages in flight, in all and per key prefix, and a rate.

-- Nothing is counted up and down: what is in flight is what claims, exceptions and lanes say at the
-- moment, so that no crash and no lost lease can leave a count behind. Who hands out holds the
-- group's latch all along, so that two cannot take the same room.

CREATE TABLE vulkan.rate_grants (
    group_id integer NOT NULL,
    n        bigint NOT NULL,
    tat      timestamptz NOT NULL,
    PRIMARY KEY (group_id, n)
);
COMMENT ON TABLE vulkan.rate_grants IS 'What the rates of groups have granted. A grant is a new row, and the one before is deleted: the newest is found at once, however many old versions a held snapshot keeps.';
COMMENT ON COLUMN vulkan.rate_grants.tat IS 'When all attempts granted so far would have begun at an even pace (the theoretical arrival time of GCRA).';

CREATE FUNCTION vulkan.latch_soon(group_id integer) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1459617792, group_id);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;
COMMENT ON FUNCTION vulkan.latch_soon(integer) IS 'Internal. Takes the group''s latch if it can be had within a tenth of a second, and holds it until the transaction ends.';

-- A lost lease counts until it is given back, or for as long as another lease, ten seconds at least: further
-- back the look would step over all that was settled while a snapshot is held.
CREATE FUNCTION vulkan.in_flight(g vulkan.groups, begun_since timestamptz DEFAULT '-infinity') RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    since CONSTANT timestamptz := clock_timestamp() - greatest(g.lease, interval '10 seconds');
BEGIN
    -- One statement, one snapshot: a settlement moves messages from one table to another.
    RETURN (SELECT coalesce(sum(c.messages), 0) FROM vulkan.claims c
            WHERE c.group_id = g.group_id AND c.settled_at IS NULL AND c.lease_until > since AND c.claimed_at >= begun_since)
         + (SELECT count(*) FROM vulkan.exceptions x
            WHERE x.group_id = g.group_id AND x.status = 'processing' AND x.lease_until > since AND x.claimed_at >= begun_since)
         + (SELECT coalesce(sum(l.held), 0) FROM vulkan.keys l
            WHERE l.group_id = g.group_id AND l.status = 'processing' AND l.lease_until > since AND l.claimed_at >= begun_since);
END $$;
COMMENT ON FUNCTION vulkan.in_flight(vulkan.groups, timestamptz) IS 'How many messages of a group workers have, as its limits count them: a claim counts whole until it is settled, a run of a key until it ends. Only those handed out since a time, if one is given.';

CREATE FUNCTION vulkan.allowance(g vulkan.groups, OUT room integer, OUT next_at timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    at     CONSTANT timestamptz := clock_timestamp();
    b      vulkan.breakers;
    burst  float8;
    enough float8;
    tokens float8;
BEGIN
    room := 2147483647;
    IF g.breaker THEN
        SELECT x.* INTO b FROM vulkan.breakers x WHERE x.group_id = g.group_id;
        IF b.state = 'open' AND b.until > at THEN
            room := 0;
            next_at := b.until;
            RETURN;
        ELSIF b.state = 'open' THEN
            room := greatest(0, b.probes - vulkan.in_flight(g, b.until));
            IF room = 0 THEN
                -- What closes it can end with any worker.
                next_at := at + greatest(interval '100 milliseconds', least(interval '1 second', b.pause / 20));
            END IF;
        END IF;
    END IF;
    IF g.max_in_flight IS NOT NULL AND room > 0 THEN
        room := greatest(0, least(room, g.max_in_flight - vulkan.in_flight(g)));
    END IF;
    IF g.rate IS NOT NULL AND room > 0 THEN
        burst := vulkan.burst_of(g);
        tokens := burst - greatest(0, extract(epoch FROM vulkan.granted(g, at) - at)) * g.rate;
        -- Coming back for less than 20 ms' worth at a time would cost more than it moves.
        enough := greatest(1, least(floor(burst / 2), ceil(g.rate * 0.02)));
        IF tokens < enough THEN
            next_at := at + make_interval(secs => (enough - tokens) / g.rate);
        END IF;
        room := least(room, floor(tokens + 0.000001));
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.allowance(vulkan.groups) IS 'How many messages the limits of a group let it hand out now (room), and from when on looking again pays (next_at; NULL: when something in flight has ended, or now). A limit per key prefix is not in it.';

CREATE FUNCTION vulkan.burst_of(g vulkan.groups) RETURNS float8
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(g.burst, greatest(1, ceil(g.rate / 10))) $$;
COMMENT ON FUNCTION vulkan.burst_of(vulkan.groups) IS 'Internal. How many attempts a group''s rate lets begin at once.';

-- Further ahead than a burst is nothing that these limits have granted: the clock was set back, or the rate
-- raised, and the group must not stand still until then.
CREATE FUNCTION vulkan.granted(g vulkan.groups, at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT greatest(at, (
        SELECT CASE WHEN r.tat <= at + make_interval(secs => vulkan.burst_of(g) / g.rate + 0.001) THEN r.tat END
        FROM vulkan.rate_grants r WHERE r.group_id = g.group_id ORDER BY r.n DESC LIMIT 1))
$$;
COMMENT ON FUNCTION vulkan.granted(vulkan.groups, timestamptz) IS 'Internal. Up to when the rate of a group has been granted already.';

CREATE FUNCTION vulkan.charge(g vulkan.groups, attempts integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    until  CONSTANT timestamptz := vulkan.granted(g, clock_timestamp());
    before bigint;
BEGIN
    SELECT r.n INTO before FROM vulkan.rate_grants r WHERE r.group_id = g.group_id ORDER BY r.n DESC LIMIT 1;
    INSERT INTO vulkan.rate_grants (group_id, n, tat)
    VALUES (g.group_id, coalesce(before, 0) + 1, until + make_interval(secs => attempts / g.rate));
    DELETE FROM vulkan.rate_grants r WHERE r.group_id = g.group_id AND r.n = before;
END $$;
COMMENT ON FUNCTION vulkan.charge(vulkan.groups, integer) IS 'Internal. Notes attempts that the rate of a group has granted. The caller holds the latch.';

CREATE FUNCTION vulkan.claim_limited(group_id integer, worker text, max_messages integer, max_lanes integer, take_solo boolean, max_bytes bigint)
RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 100 AS $$
DECLARE
    g     vulkan.groups;
    mark  vulkan.ready_marks;
    at    timestamptz;
    room  integer;
    taken integer := 0;
    got   integer := 0;
BEGIN
    -- A settlement waits for the latch, and so does this: who only tried would never have it in a busy group.
    IF NOT vulkan.latch_soon(group_id) THEN
        RETURN;
    END IF;
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = claim_limited.group_id;
    SELECT least(max_messages, a.room) INTO room FROM vulkan.allowance(g) a;
    IF g.paused_at IS NOT NULL OR room < 1 THEN
        RETURN;
    END IF;
    mark := vulkan.ready_mark(g.group_id);
    at := clock_timestamp();
    IF take_solo THEN
        RETURN QUERY SELECT * FROM vulkan.claim_exceptions(g, worker, 0, true, mark.exceptions_from);
        GET DIAGNOSTICS taken = ROW_COUNT;
    END IF;
    IF room > taken THEN
        RETURN QUERY SELECT * FROM vulkan.claim_exceptions(g, worker, room - taken, false, mark.exceptions_from);
        GET DIAGNOSTICS got = ROW_COUNT;
    END IF;
    IF room > taken + got AND max_lanes > 0 THEN
        taken := taken + got;
        RETURN QUERY SELECT * FROM vulkan.claim_limited_lanes(g, worker, room - taken, max_lanes, take_solo AND taken = 0, mark.lanes_from);
        GET DIAGNOSTICS got = ROW_COUNT;
    END IF;
    taken := taken + got;
    IF mark.marked_at IS NULL AND clock_timestamp() - at > interval '2 milliseconds' THEN
        PERFORM vulkan.mark_ready(g);
    END IF;
    FOR i IN 1 .. 10 LOOP
        EXIT WHEN taken >= room;
        IF g.prefixed OR g.max_in_flight IS NOT NULL THEN
            -- Little at first: mostly the next events can be handed out. More where all had to be passed over.
            RETURN QUERY SELECT * FROM vulkan.claim_limited_log(g, worker, room - taken, max_bytes, least(greatest(4 * room, 50) * 4 ^ (i - 1), 2000)::integer);
        ELSE
            RETURN QUERY SELECT * FROM vulkan.claim_log(g, worker, room - taken, max_bytes);
        END IF;
        GET DIAGNOSTICS got = ROW_COUNT;
        taken := taken + got;
        EXIT WHEN (taken > 0 AND (i >= 4 OR NOT (g.prefixed OR g.max_in_flight IS NOT NULL))) OR NOT vulkan.has_events(g.stream_id, vulkan.cursor_of(g.group_id), (SELECT h.lso FROM vulkan.horizon(g.stream_id) h));
    END LOOP;
    IF taken > 0 AND g.rate IS NOT NULL THEN
        PERFORM vulkan.charge(g, taken);
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.claim_limited(integer, text, integer, integer, boolean, bigint) IS 'Internal. claim() for a group with limits: all of it under the group''s latch.';

-- While a run waits for its worker it takes room from others: where room is short, runs are.
CREATE FUNCTION vulkan.longest_run(g vulkan.groups) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT greatest(1, coalesce(least(g.max_in_flight, g.max_in_flight_per_prefix), 2147483647) / 10) $$;
COMMENT ON FUNCTION vulkan.longest_run(vulkan.groups) IS 'Internal. The most messages of one key that are handed out at once: a tenth of the limit.';

CREATE FUNCTION vulkan.prefixes_in_flight(g vulkan.groups) RETURNS TABLE (prefix_hash bigint, messages bigint)
LANGUAGE plpgsql STABLE ROWS 20 AS $$
BEGIN
    RETURN QUERY
    SELECT l.prefix_hash, sum(l.held) FROM vulkan.keys l
    WHERE g.prefixed AND l.group_id = g.group_id AND l.status = 'processing'
      AND l.lease_until > clock_timestamp() - greatest(g.lease, interval '10 seconds')
    GROUP BY 1;
END $$;
COMMENT ON FUNCTION vulkan.prefixes_in_flight(vulkan.groups) IS 'Internal. How many messages of each key prefix workers have.';

CREATE FUNCTION vulkan.prefix_limit(g vulkan.groups, prefix_hash bigint) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF g.prefix_limits THEN
        RETURN coalesce((SELECT p.max_in_flight FROM vulkan.prefix_limits p
                         WHERE p.group_id = g.group_id AND p.prefix_hash = prefix_limit.prefix_hash), g.max_in_flight_per_prefix);
    END IF;
    RETURN g.max_in_flight_per_prefix;
END $$;
COMMENT ON FUNCTION vulkan.prefix_limit(vulkan.groups, bigint) IS 'Internal. How many messages of a key prefix may be in flight. NULL: no limit.';

CREATE FUNCTION vulkan.claim_limited_lanes(g vulkan.groups, worker text, room integer, max_lanes integer, take_solo boolean, ready_from timestamptz)
RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 100 AS $$
DECLARE
    at     CONSTANT timestamptz := clock_timestamp();
    keys   bigint[];
    heads  bigint[];
    solos  boolean[];
    excess bigint[];
    run    integer;
BEGIN
    -- Again where all that was found had to be parked: there may be others behind it.
    FOR i IN 1 .. 10 LOOP
        WITH due AS MATERIALIZED (
            SELECT l.key_hash, l.head, l.solo, l.prefix_hash, l.run_at FROM vulkan.keys l
            WHERE l.group_id = g.group_id AND l.status = 'ready' AND NOT l.solo AND l.run_at <= at AND l.run_at >= ready_from
            ORDER BY l.run_at LIMIT greatest(50, 2 * least(max_lanes, room)) FOR UPDATE SKIP LOCKED
        ), suspect AS MATERIALIZED (
            SELECT l.key_hash, l.head, l.solo, l.prefix_hash, l.run_at FROM vulkan.keys l
            WHERE l.group_id = g.group_id AND l.status = 'ready' AND l.solo AND l.run_at <= at AND l.run_at >= ready_from
            ORDER BY l.run_at LIMIT take_solo::integer FOR UPDATE SKIP LOCKED
        ), flight AS MATERIALIZED (
            SELECT f.prefix_hash, f.messages FROM vulkan.prefixes_in_flight(g) f
        ), ranked AS (
            SELECT l.*, row_number() OVER (PARTITION BY l.prefix_hash ORDER BY l.run_at) AS nth,
                   count(*) OVER (PARTITION BY l.prefix_hash) AS rivals,
                   vulkan.prefix_limit(g, l.prefix_hash)
                       - coalesce((SELECT f.messages FROM flight f WHERE f.prefix_hash = l.prefix_hash), 0) AS prefix_room
            FROM (SELECT * FROM due UNION ALL SELECT * FROM suspect) l
        ), chosen AS (
            SELECT r.*, row_number() OVER (ORDER BY r.run_at) <= least(max_lanes, room) AS fits
            FROM ranked r WHERE r.prefix_room IS NULL OR r.nth <= r.prefix_room
        )
        SELECT array_agg(c.key_hash) FILTER (WHERE c.fits), array_agg(c.head) FILTER (WHERE c.fits), array_agg(c.solo) FILTER (WHERE c.fits),
               min(c.prefix_room / least(c.rivals, c.prefix_room)),
               (SELECT array_agg(r.key_hash) FROM ranked r WHERE r.nth > r.prefix_room)
        INTO keys, heads, solos, run, excess
        FROM chosen c;
        IF excess IS NOT NULL THEN
            UPDATE vulkan.keys l SET status = 'parked'
            FROM unnest(excess) AS u(key_hash)
            CROSS JOIN LATERAL (SELECT n.ctid FROM vulkan.keys n WHERE n.group_id = g.group_id AND n.key_hash = u.key_hash ORDER BY n.token DESC LIMIT 1) y
            WHERE l.ctid = y.ctid AND l.status = 'ready';
        END IF;
        EXIT WHEN keys IS NOT NULL OR excess IS NULL;
    END LOOP;
    IF keys IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM vulkan.lane_messages(g, claim_limited_lanes.worker, keys, heads, solos, vulkan.redriven_due(g, keys, at),
        least(room / cardinality(keys), vulkan.longest_run(g), run), at);
END $$;
COMMENT ON FUNCTION vulkan.claim_limited_lanes(vulkan.groups, text, integer, integer, boolean, timestamptz) IS 'Internal. claim_lanes() for a group with limits: lanes whose prefix is at its limit are parked, and never more than room is handed out. The caller holds the latch.';

-- What of the log is new to the group's lanes: one message of a key, as far as its prefix has room. A
-- key without room gets its lane, too, parked: the cursor passes on to others behind it.
CREATE FUNCTION vulkan.claim_limited_log(g vulkan.groups, worker text, room integer, max_bytes bigint, scan_limit integer)
RETURNS SETOF vulkan.message
LANGUAGE plpgsql ROWS 100 SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    at         CONSTANT timestamptz := clock_timestamp();
    new_token  CONSTANT bigint := nextval('vulkan.token_seq');
    cursor     CONSTANT bigint := vulkan.cursor_of(g.group_id);
    top        bigint;
    b          vulkan.bindings;
    batch      record;
    claim_hi   bigint;
    -- Rows above the cursor: somebody skipped a message before its turn.
    marked     CONSTANT boolean := EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" > cursor);
BEGIN
    SELECT h.lso INTO top FROM vulkan.horizon(g.stream_id) h;
    IF top <= cursor THEN
        RETURN;
    END IF;
    SELECT x.* INTO b FROM vulkan.binding_at(g.group_id, cursor + 1) x;
    WITH scanned AS MATERIALIZED (
        SELECT y."offset", y.kind, y.headers, y.partition_key, y.deliver_at, pg_column_size(y.payload) AS size
        FROM vulkan.events y
        WHERE y.stream_id = g.stream_id AND y."offset" > cursor AND y."offset" <= top
        ORDER BY y."offset" LIMIT scan_limit
    ), flight AS MATERIALIZED (
        SELECT f.prefix_hash, f.messages FROM vulkan.prefixes_in_flight(g) f
    ), fresh AS (
        SELECT s."offset", s.partition_key, s.size, s.deliver_at > at IS TRUE AS delayed,
               row_number() OVER (PARTITION BY hashtextextended(s.partition_key, 0) ORDER BY s."offset") AS nth
        FROM scanned s
        WHERE (b.everything OR vulkan.matches(s.kind, s.headers, b))
          AND coalesce((SELECT k.status FROM vulkan.keys k
                        WHERE k.group_id = g.group_id AND k.key_hash = hashtextextended(s.partition_key, 0)
                        ORDER BY k.token DESC LIMIT 1), 'drained') = 'drained'
          AND NOT (marked AND EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" = s."offset"))
    ), prefixed AS (
        SELECT f.*, CASE WHEN g.prefixed AND f.partition_key IS NOT NULL THEN vulkan.prefix_hash(f.partition_key, g.prefix_delimiter) END AS prefix
        FROM fresh f
        WHERE NOT f.delayed AND (f.partition_key IS NULL OR f.nth = 1)
    ), ranked AS (
        SELECT p.*, row_number() OVER (PARTITION BY p.prefix ORDER BY p."offset") AS rank FROM prefixed p
    ), admitted AS (
        SELECT r."offset", r.partition_key, r.size FROM ranked r
        WHERE r.prefix IS NULL OR coalesce(r.rank <= vulkan.prefix_limit(g, r.prefix)
            - coalesce((SELECT f.messages FROM flight f WHERE f.prefix_hash = r.prefix), 0), true)
        ORDER BY r."offset" LIMIT room
    ), sized AS (
        SELECT a.*, sum(a.size) OVER (ORDER BY a."offset" ROWS UNBOUNDED PRECEDING) AS bytes FROM admitted a
    )
    SELECT array_agg(z."offset" ORDER BY z."offset") FILTER (WHERE z.bytes - z.size < max_bytes) AS taken,
           (count(*) FILTER (WHERE z.partition_key IS NULL AND z.bytes - z.size < max_bytes))::integer AS unkeyed,
           coalesce(bool_or(z.bytes >= max_bytes), false) OR count(*) = room AS cut,
           (SELECT CASE WHEN count(*) = scan_limit THEN max(s."offset") ELSE top END FROM scanned s) AS scanned_to,
           (SELECT bool_or(s.partition_key IS NOT NULL) FROM scanned s) AS keyed,
           (SELECT bool_or(s.deliver_at > at AND s.partition_key IS NULL) FROM scanned s) AS delayed
    INTO batch
    FROM sized z;
    claim_hi := CASE WHEN batch.cut THEN batch.taken[cardinality(batch.taken)] ELSE batch.scanned_to END;
    IF batch.taken IS NULL THEN
        PERFORM vulkan.pass(g, cursor, claim_hi);
    ELSE
        INSERT INTO vulkan.claims (group_id, lo, hi, token, worker, claimed_at, lease_until, messages, origin)
        VALUES (g.group_id, cursor, claim_hi, new_token, claim_limited_log.worker, at, at + g.lease, batch.unkeyed, 'claim');
    END IF;
    IF batch.delayed THEN
        INSERT INTO vulkan.exceptions (group_id, "offset", status, attempts, token, run_at)
        SELECT g.group_id, e."offset", 'ready', 0, 0, e.deliver_at
        FROM vulkan.events e
        WHERE e.stream_id = g.stream_id AND e."offset" > cursor AND e."offset" <= claim_hi
          AND e.deliver_at > at AND e.partition_key IS NULL
          AND (b.everything OR vulkan.matches(e.kind, e.headers, b))
        ON CONFLICT DO NOTHING;
    END IF;
    IF batch.keyed THEN
        PERFORM vulkan.open_limited_lanes(g, claim_limited_log.worker, new_token, cursor, claim_hi, at, marked, coalesce(batch.taken, '{}'));
    END IF;
    RETURN QUERY
    SELECT e."offset", e.kind, e.partition_key, e.payload, e.headers, e.created_at,
           1, new_token, claim_hi, hashtextextended(e.partition_key, 0), false
    FROM vulkan.events e
    WHERE e.stream_id = g.stream_id AND e."offset" = ANY (batch.taken)
    ORDER BY e."offset";
END $$;
COMMENT ON FUNCTION vulkan.claim_limited_log(vulkan.groups, text, integer, bigint, integer) IS 'Internal. claim_log() for a group with a limit to what is in flight. The caller holds the latch.';

CREATE FUNCTION vulkan.open_limited_lanes(
    g vulkan.groups, worker text, new_token bigint, cursor bigint, claim_hi bigint, at timestamptz, marked boolean, taken bigint[]
) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    WITH fresh AS MATERIALIZED (
        SELECT k.*, l.row_id
        FROM (SELECT hashtextextended(e.partition_key, 0) AS hash, min(e."offset") AS first,
                     min(vulkan.prefix_hash(e.partition_key, g.prefix_delimiter)) AS prefix_hash,
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
    INSERT INTO vulkan.keys (group_id, key_hash, prefix_hash, head, through, held, status, token, kept, run_at, claimed_at, lease_until, worker)
    SELECT g.group_id, k.hash, k.prefix_hash, cursor,
           CASE WHEN f.handed THEN k.first ELSE cursor END, f.handed::integer,
           CASE WHEN f.handed THEN 'processing' WHEN f.delayed THEN 'ready' ELSE 'parked' END,
           new_token, k.row_id IS NOT NULL, CASE WHEN f.delayed THEN k.deliver_at ELSE at END,
           at, CASE WHEN f.handed THEN at + g.lease END, open_limited_lanes.worker
    FROM fresh k
    CROSS JOIN LATERAL (SELECT k.first = ANY (taken) AS handed, k.deliver_at > at IS TRUE AS delayed) f;
END $$;
COMMENT ON FUNCTION vulkan.open_limited_lanes(vulkan.groups, text, bigint, bigint, bigint, timestamptz, boolean, bigint[]) IS 'Internal. Opens a lane for each key of a claimed range that has none: in work if its first message was taken, else ready when that is due, or parked. The caller holds the latch.';

CREATE FUNCTION vulkan.unpark(g vulkan.groups, prefixes bigint[], freed bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE vulkan.keys l SET status = 'ready'
    FROM unnest(prefixes, freed) AS u(prefix, many)
    CROSS JOIN LATERAL (SELECT x.ctid FROM vulkan.keys x
                        WHERE x.group_id = g.group_id AND x.status = 'parked' AND x.prefix_hash = u.prefix
                        ORDER BY x.run_at LIMIT u.many) y
    WHERE l.ctid = y.ctid;
END $$;
COMMENT ON FUNCTION vulkan.unpark(vulkan.groups, bigint[], bigint[]) IS 'Internal. Lets so many parked lanes of each prefix take the room that has become free, those that wait longest first. One too many does no harm: claim() parks it again. The caller holds the latch.';

CREATE FUNCTION vulkan.unpark_all(g vulkan.groups) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    prefixes bigint[];
    rooms    bigint[];
BEGIN
    -- From prefix to prefix by the index, past the lanes of each. Those let go before and not taken yet are
    -- the oldest of the ready ones.
    WITH RECURSIVE parked AS (
        (SELECT l.prefix_hash FROM vulkan.keys l WHERE l.group_id = g.group_id AND l.status = 'parked' ORDER BY l.prefix_hash LIMIT 1)
        UNION ALL
        SELECT n.prefix_hash FROM parked p
        CROSS JOIN LATERAL (SELECT l.prefix_hash FROM vulkan.keys l WHERE l.group_id = g.group_id AND l.status = 'parked'
                            AND l.prefix_hash > p.prefix_hash ORDER BY l.prefix_hash LIMIT 1) n
    ), taken AS MATERIALIZED (
        SELECT t.prefix_hash, sum(t.messages) AS messages
        FROM (SELECT f.prefix_hash, f.messages FROM vulkan.prefixes_in_flight(g) f
              UNION ALL
              SELECT r.prefix_hash, 1 FROM (SELECT l.prefix_hash FROM vulkan.keys l
                  WHERE l.group_id = g.group_id AND l.status = 'ready' AND NOT l.solo AND l.run_at <= clock_timestamp()
                  ORDER BY l.run_at LIMIT 1000) r) t
        GROUP BY 1
    )
    SELECT array_agg(r.prefix_hash), array_agg(r.room) INTO prefixes, rooms
    FROM (SELECT p.prefix_hash, vulkan.prefix_limit(g, p.prefix_hash)
                 - coalesce((SELECT t.messages FROM taken t WHERE t.prefix_hash = p.prefix_hash), 0) AS room
          FROM parked p) r
    WHERE r.room IS NULL OR r.room > 0;
    PERFORM vulkan.unpark(g, prefixes, rooms);
END $$;
COMMENT ON FUNCTION vulkan.unpark_all(vulkan.groups) IS 'Internal. Lets parked lanes go wherever their prefix has room: after a limit was changed, and from time to time, so that nothing can stay parked for ever. The caller holds the latch.';

CREATE FUNCTION vulkan.set_limits(
    stream text, consumer_group text, max_in_flight integer DEFAULT NULL, max_in_flight_per_prefix integer DEFAULT NULL,
    prefix_delimiter text DEFAULT NULL, rate double precision DEFAULT NULL, burst integer DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    was vulkan.groups;
    g   vulkan.groups;
BEGIN
    SELECT x.* INTO was FROM vulkan.groups x WHERE x.group_id = vulkan.group_id(stream, consumer_group);
    IF was.mode <> 'lifecycle' OR least(max_in_flight, max_in_flight_per_prefix, burst, 0) < 0 OR rate < 0 OR rate >= 'infinity'
       OR length(prefix_delimiter) NOT BETWEEN 1 AND 16 THEN
        RAISE EXCEPTION 'group "%" cannot have these limits', consumer_group
            USING ERRCODE = 'VK003', HINT = 'Limits are for lifecycle groups: a number above 0, or 0 to take the limit away; a delimiter has 1 to 16 characters.';
    END IF;
    IF (was.max_in_flight, was.max_in_flight_per_prefix, was.prefix_delimiter, was.rate, was.burst) IS NOT DISTINCT FROM
       (vulkan.new_limit(was.max_in_flight, set_limits.max_in_flight), vulkan.new_limit(was.max_in_flight_per_prefix, set_limits.max_in_flight_per_prefix),
        coalesce(set_limits.prefix_delimiter, was.prefix_delimiter), vulkan.new_limit(was.rate, set_limits.rate), vulkan.new_limit(was.burst, set_limits.burst)) THEN
        RETURN false;
    END IF;
    PERFORM vulkan.latch(was.group_id);
    -- What it was could change until now.
    SELECT x.* INTO was FROM vulkan.groups x WHERE x.group_id = was.group_id;
    UPDATE vulkan.groups x SET
        max_in_flight = vulkan.new_limit(x.max_in_flight, set_limits.max_in_flight),
        max_in_flight_per_prefix = vulkan.new_limit(x.max_in_flight_per_prefix, set_limits.max_in_flight_per_prefix),
        prefix_delimiter = coalesce(set_limits.prefix_delimiter, x.prefix_delimiter),
        rate = vulkan.new_limit(x.rate, set_limits.rate),
        burst = vulkan.new_limit(x.burst, set_limits.burst)
    WHERE x.group_id = was.group_id
    RETURNING x.* INTO g;
    IF g.prefix_delimiter <> was.prefix_delimiter THEN
        PERFORM vulkan.set_prefixes(g);
    END IF;
    PERFORM vulkan.unpark_all(g);
    PERFORM vulkan.ring(g.stream_id);
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.set_limits(text, text, integer, integer, text, double precision, integer) IS
'Limits a lifecycle group over all its workers: how many messages are in flight at once (max_in_flight), how many of each key prefix (max_in_flight_per_prefix; the prefix of a key is what stands before prefix_delimiter), and how many attempts begin in a second (rate, after a quiet time up to burst at once). NULL leaves a limit as it is, 0 takes it away. Holds from the next claim on: what is in flight beyond a lowered limit runs on. Returns whether anything changed. Raises VK003 for limits that cannot be.';

CREATE FUNCTION vulkan.new_limit(was anyelement, asked anyelement) RETURNS anyelement
LANGUAGE sql IMMUTABLE AS $$ SELECT nullif(coalesce(asked, was), 0) $$;
COMMENT ON FUNCTION vulkan.new_limit(anyelement, anyelement) IS 'Internal. A limit after it was set: NULL leaves it, 0 takes it away.';

CREATE FUNCTION vulkan.set_prefixes(g vulkan.groups) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    UPDATE vulkan.lanes l
    SET prefix_hash = coalesce((
            SELECT vulkan.prefix_hash(e.partition_key, g.prefix_delimiter) FROM vulkan.events e
            WHERE e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = l.key_hash
              AND e.partition_key IS NOT NULL LIMIT 1), l.prefix_hash),
        status = CASE l.status WHEN 'parked' THEN 'ready' ELSE l.status END
    WHERE l.group_id = g.group_id;
    UPDATE vulkan.prefix_limits p SET prefix_hash = hashtextextended(p.prefix, 0) WHERE p.group_id = g.group_id;
END $$;
COMMENT ON FUNCTION vulkan.set_prefixes(vulkan.groups) IS 'Internal. Sorts the lanes of a group into prefixes anew, after its delimiter was changed. The caller holds the latch.';

CREATE FUNCTION vulkan.set_prefix_limit(stream text, consumer_group text, prefix text, max_in_flight integer DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    g       vulkan.groups;
    changed boolean;
BEGIN
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = vulkan.group_id(stream, consumer_group);
    IF g.mode <> 'lifecycle' OR max_in_flight < 0 OR prefix IS NULL THEN
        RAISE EXCEPTION 'prefix % of group "%" cannot have this limit', quote_nullable(prefix), consumer_group
            USING ERRCODE = 'VK003', HINT = 'Limits are for lifecycle groups: 0 or more messages, or NULL to go by the group''s own limit again.';
    END IF;
    PERFORM vulkan.latch(g.group_id);
    IF set_prefix_limit.max_in_flight IS NULL THEN
        DELETE FROM vulkan.prefix_limits p WHERE p.group_id = g.group_id AND p.prefix_hash = hashtextextended(set_prefix_limit.prefix, 0);
    ELSE
        INSERT INTO vulkan.prefix_limits AS p (group_id, prefix_hash, prefix, max_in_flight)
        VALUES (g.group_id, hashtextextended(set_prefix_limit.prefix, 0), set_prefix_limit.prefix, set_prefix_limit.max_in_flight)
        ON CONFLICT ON CONSTRAINT prefix_limits_pkey DO UPDATE SET max_in_flight = EXCLUDED.max_in_flight
            WHERE p.max_in_flight <> EXCLUDED.max_in_flight;
    END IF;
    changed := FOUND;
    UPDATE vulkan.groups x SET prefix_limits = EXISTS (SELECT FROM vulkan.prefix_limits p WHERE p.group_id = g.group_id)
    WHERE x.group_id = g.group_id RETURNING x.* INTO g;
    PERFORM vulkan.unpark_all(g);
    PERFORM vulkan.ring(g.stream_id);
    RETURN changed;
END $$;
COMMENT ON FUNCTION vulkan.set_prefix_limit(text, text, text, integer) IS 'Gives one key prefix of a group a limit of its own to how many of its messages are in flight: more or fewer than the group''s max_in_flight_per_prefix, or 0 to hand out none of them. NULL takes it away. Returns whether anything changed.';

CREATE VIEW vulkan.prefix_overview AS
SELECT s.name AS stream, g.name AS consumer_group, split_part(k.partition_key, g.prefix_delimiter, 1) AS prefix,
       vulkan.prefix_limit(g, p.prefix_hash) AS max_in_flight, p.in_flight, p.keys, p.parked_keys
FROM vulkan.groups g
JOIN vulkan.streams s ON s.stream_id = g.stream_id
CROSS JOIN LATERAL (
    SELECT l.prefix_hash, max(l.key_hash) AS key_hash, coalesce(sum(l.held) FILTER (WHERE l.status = 'processing'), 0) AS in_flight,
           count(*) AS keys, count(*) FILTER (WHERE l.status = 'parked') AS parked_keys
    FROM vulkan.lanes l WHERE l.group_id = g.group_id GROUP BY 1) p
LEFT JOIN LATERAL (SELECT e.partition_key FROM vulkan.events e
                   WHERE e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = p.key_hash
                     AND e.partition_key IS NOT NULL LIMIT 1) k ON true;
COMMENT ON VIEW vulkan.prefix_overview IS 'The key prefixes with unresolved messages in each group: their limit, how many messages count as in flight, how many of their keys have messages, and how many of those are parked because the prefix is at its limit. Reads all lanes of the group.';
