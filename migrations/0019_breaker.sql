-- The circuit breaker: a group whose attempts fail too often rests, then probes.

-- Counted from rows that each settlement adds, not from a shared counter: of groups without a breaker none.
CREATE TABLE vulkan.outcomes (
    group_id integer NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    n        bigint NOT NULL DEFAULT nextval('vulkan.token_seq'),
    done     integer NOT NULL,
    failed   integer NOT NULL,
    PRIMARY KEY (group_id, ended_at, n)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE vulkan.outcomes IS 'How the attempts of groups with a breaker ended: a row for each settlement. reap() forgets them when their window is over.';

CREATE FUNCTION vulkan.set_breaker(
    stream text, consumer_group text, failure_percent integer DEFAULT NULL, min_attempts integer DEFAULT NULL,
    time_window interval DEFAULT NULL, pause interval DEFAULT NULL, max_pause interval DEFAULT NULL, probes integer DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    g   vulkan.groups;
    b   vulkan.breakers;
    was vulkan.breakers;
BEGIN
    PERFORM vulkan.latch(vulkan.group_id(stream, consumer_group));
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = vulkan.group_id(stream, consumer_group);
    IF set_breaker.failure_percent = 0 THEN
        DELETE FROM vulkan.breakers x WHERE x.group_id = g.group_id;
        UPDATE vulkan.groups x SET breaker = false WHERE x.group_id = g.group_id AND x.breaker;
        IF FOUND THEN
            DELETE FROM vulkan.outcomes o WHERE o.group_id = g.group_id;
            PERFORM vulkan.ring(g.stream_id);
        END IF;
        RETURN g.breaker;
    END IF;
    SELECT x.* INTO was FROM vulkan.breakers x WHERE x.group_id = g.group_id;
    b := was;
    b.failure_percent := coalesce(set_breaker.failure_percent, was.failure_percent, 50);
    b.min_attempts := coalesce(set_breaker.min_attempts, was.min_attempts, 20);
    b.time_window := coalesce(set_breaker.time_window, was.time_window, interval '1 minute');
    b.pause := coalesce(set_breaker.pause, was.pause, interval '30 seconds');
    b.max_pause := coalesce(set_breaker.max_pause, was.max_pause, greatest(b.pause, interval '10 minutes'));
    b.probes := coalesce(set_breaker.probes, was.probes, 1);
    IF g.mode <> 'lifecycle' OR b.failure_percent NOT BETWEEN 1 AND 100 OR b.min_attempts < 1 OR b.time_window <= interval '0'
       OR b.pause <= interval '0' OR b.max_pause < b.pause OR b.probes < 1 THEN
        RAISE EXCEPTION 'group "%" cannot have this breaker', consumer_group
            USING ERRCODE = 'VK003', HINT = 'Breakers are for lifecycle groups: 1 to 100 percent (0 takes the breaker away), at least 1 attempt and 1 probe, a window and a pause above zero, a max_pause not below the pause.';
    END IF;
    IF b IS NOT DISTINCT FROM was THEN
        RETURN false;
    END IF;
    INSERT INTO vulkan.breakers AS x (group_id, failure_percent, min_attempts, time_window, pause, max_pause, probes)
    VALUES (g.group_id, b.failure_percent, b.min_attempts, b.time_window, b.pause, b.max_pause, b.probes)
    ON CONFLICT ON CONSTRAINT breakers_pkey DO UPDATE SET
        failure_percent = EXCLUDED.failure_percent, min_attempts = EXCLUDED.min_attempts, time_window = EXCLUDED.time_window,
        pause = EXCLUDED.pause, max_pause = EXCLUDED.max_pause, probes = EXCLUDED.probes;
    UPDATE vulkan.groups x SET breaker = true WHERE x.group_id = g.group_id AND NOT x.breaker;
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.set_breaker(text, text, integer, integer, interval, interval, interval, integer) IS
'Gives a lifecycle group a circuit breaker. It opens when at least failure_percent of at least min_attempts attempts that ended within time_window failed: then nothing is handed out for the pause, after it at most so many probes are in flight, and when so many have succeeded it closes; if one fails it opens again, for twice as long each time, up to max_pause. NULL leaves an option as it is (at first: 50 percent of 20 attempts in 1 minute, pauses from 30 seconds to 10 minutes, 1 probe). failure_percent 0 takes the breaker away. Messages that are snoozed or released, and lost leases, do not count. Returns whether anything changed.';

CREATE FUNCTION vulkan.reset_breaker(stream text, consumer_group text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    of_group CONSTANT integer := vulkan.group_id(stream, consumer_group);
    was      text;
BEGIN
    SELECT b.state INTO was FROM vulkan.breakers b WHERE b.group_id = of_group FOR UPDATE;
    UPDATE vulkan.breakers b SET state = 'closed', until = NULL, trips = 0, changed_at = clock_timestamp()
    WHERE b.group_id = of_group;
    PERFORM vulkan.ring(vulkan.stream_id(stream));
    RETURN coalesce(was = 'open', false);
END $$;
COMMENT ON FUNCTION vulkan.reset_breaker(text, text) IS 'Closes the breaker of a group by hand, and forgets the failures so far. Returns whether it was open.';

-- What began before is of another time: a straggler from the outage must not open what has just been
-- closed, nor speak for a probe.
CREATE FUNCTION vulkan.breaker_since(b vulkan.breakers, at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN b.state = 'closed' THEN b.changed_at WHEN b.until <= at THEN b.until ELSE 'infinity' END
$$;
COMMENT ON FUNCTION vulkan.breaker_since(vulkan.breakers, timestamptz) IS 'Internal. Only attempts begun since then count for a breaker; while it is open none.';

CREATE FUNCTION vulkan.tally_lanes(g vulkan.groups, offsets bigint[], tokens bigint[], lanes bigint[], outcomes text[]) RETURNS integer[]
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    since CONSTANT timestamptz := (SELECT vulkan.breaker_since(b, clock_timestamp()) FROM vulkan.breakers b WHERE b.group_id = g.group_id);
    tally integer[];
BEGIN
    SELECT ARRAY[coalesce(sum(n.done), 0), count(*) FILTER (WHERE i.outcome IN ('retry', 'dead'))]::integer[] INTO tally
    FROM unnest(offsets, tally_lanes.tokens, tally_lanes.lanes, outcomes) AS i(o, token, lane, outcome)
    CROSS JOIN LATERAL (SELECT x.head, x.straggler FROM vulkan.keys x WHERE x.group_id = g.group_id AND x.key_hash = i.lane
                        AND x.token = i.token AND x.lease_until IS NOT NULL AND x.claimed_at >= since LIMIT 1) l
    CROSS JOIN LATERAL (
        SELECT CASE WHEN l.straggler IS NOT NULL THEN (i.outcome = 'done')::integer ELSE (
            SELECT count(*) FROM vulkan.events e
            WHERE e.stream_id = g.stream_id AND hashtextextended(e.partition_key, 0) = i.lane AND e.partition_key IS NOT NULL
              AND e."offset" > l.head AND e."offset" <= i.o - (i.outcome NOT IN ('done', 'progress'))::integer
              AND (g.unfiltered OR vulkan.is_message(g.group_id, e."offset", e.kind, e.headers))) END AS done) n
    WHERE i.lane IS NOT NULL;
    RETURN tally;
END $$;
COMMENT ON FUNCTION vulkan.tally_lanes(vulkan.groups, bigint[], bigint[], bigint[], text[]) IS 'Internal. How many attempts at keyed messages a settlement reports, done and failed, for the breaker. Called before anything is changed.';

CREATE FUNCTION vulkan.tally_messages(
    g vulkan.groups, claim_his bigint[], claim_tokens bigint[], offsets bigint[], tokens bigint[], lanes bigint[], outcomes text[]
) RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    since CONSTANT timestamptz := (SELECT vulkan.breaker_since(b, clock_timestamp()) FROM vulkan.breakers b WHERE b.group_id = g.group_id);
    tally integer[];
BEGIN
    -- Of a claim done is what has no item. Its own row has what outlived its claim, or was tried before.
    SELECT ARRAY[coalesce(sum(t.done), 0), coalesce(sum(t.failed), 0)]::integer[] INTO tally
    FROM (SELECT c.messages - count(i.o) FILTER (WHERE i.outcome <> 'done') AS done, count(i.o) FILTER (WHERE i.outcome IN ('retry', 'dead')) AS failed
          FROM unnest(claim_his, claim_tokens) AS u(hi, token)
          CROSS JOIN LATERAL (SELECT x.messages FROM vulkan.claims x WHERE x.group_id = g.group_id AND x.hi = u.hi
                              AND x.token = u.token AND x.lease_until IS NOT NULL AND x.claimed_at >= since LIMIT 1) c
          LEFT JOIN unnest(offsets, tally_messages.tokens, tally_messages.lanes, outcomes) AS i(o, token, lane, outcome)
              ON i.token = u.token AND i.lane IS NULL
          GROUP BY u.hi, c.messages
          UNION ALL
          SELECT (i.outcome = 'done')::integer, (i.outcome IN ('retry', 'dead'))::integer
          FROM unnest(offsets, tally_messages.tokens, tally_messages.lanes, outcomes) AS i(o, token, lane, outcome)
          CROSS JOIN LATERAL (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" = i.o
                              AND x.token = i.token AND x.claimed_at >= since
                              -- Completed in its handler's own transaction, it has no lease any more.
                              AND (x.lease_until IS NOT NULL OR (x.status = 'done' AND i.outcome = 'done' AND i.token <> ALL (claim_tokens)))
                              LIMIT 1) y
          WHERE i.lane IS NULL) t;
    RETURN tally;
END $$;
COMMENT ON FUNCTION vulkan.tally_messages(vulkan.groups, bigint[], bigint[], bigint[], bigint[], bigint[], text[]) IS 'Internal. The same for messages without a partition key.';

CREATE FUNCTION vulkan.note_outcomes(g vulkan.groups, of_lanes integer[], of_messages integer[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    at     CONSTANT timestamptz := clock_timestamp();
    done   CONSTANT integer := coalesce(of_lanes[1], 0) + coalesce(of_messages[1], 0);
    failed CONSTANT integer := coalesce(of_lanes[2], 0) + coalesce(of_messages[2], 0);
    b      vulkan.breakers;
    since  timestamptz;
    sums   record;
BEGIN
    SELECT x.* INTO b FROM vulkan.breakers x WHERE x.group_id = g.group_id;
    since := vulkan.breaker_since(b, at);
    IF done + failed < 1 OR since IS NULL OR since = 'infinity' THEN
        RETURN;
    END IF;
    INSERT INTO vulkan.outcomes (group_id, ended_at, done, failed) VALUES (g.group_id, at, done, failed);
    -- While it is closed only a failure can open it; after a pause every outcome counts.
    IF b.state = 'closed' AND failed = 0 THEN
        RETURN;
    END IF;
    SELECT coalesce(sum(o.done), 0) AS done, coalesce(sum(o.failed), 0) AS failed INTO sums
    FROM vulkan.outcomes o WHERE o.group_id = g.group_id AND o.ended_at >= CASE b.state WHEN 'open' THEN since ELSE greatest(since, at - b.time_window) END;
    -- Two at once may come to the same: the row says which of them was first.
    IF b.state = 'open' AND failed > 0 THEN
        UPDATE vulkan.breakers x SET until = at + least(b.max_pause, b.pause * power(2, least(b.trips, 30))), trips = b.trips + 1, changed_at = at
        WHERE x.group_id = g.group_id AND x.changed_at = b.changed_at;
    ELSIF b.state = 'open' AND sums.done >= b.probes THEN
        UPDATE vulkan.breakers x SET state = 'closed', until = NULL, trips = 0, changed_at = at
        WHERE x.group_id = g.group_id AND x.changed_at = b.changed_at;
    ELSIF b.state = 'closed' AND sums.done + sums.failed >= b.min_attempts
          AND sums.failed * 100 >= b.failure_percent * (sums.done + sums.failed) THEN
        UPDATE vulkan.breakers x SET state = 'open', until = at + b.pause, trips = 1, changed_at = at
        WHERE x.group_id = g.group_id AND x.changed_at = b.changed_at;
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.note_outcomes(vulkan.groups, integer[], integer[]) IS 'Internal. Notes how many attempts ended done and failed, and moves the breaker.';

CREATE FUNCTION vulkan.forget_outcomes(since timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    at CONSTANT timestamptz := clock_timestamp();
BEGIN
    -- No further back than the look for lost leases goes: a held snapshot keeps what was deleted before.
    DELETE FROM vulkan.outcomes o USING (
        SELECT y.ctid FROM vulkan.breakers b
        CROSS JOIN LATERAL (SELECT x.ctid FROM vulkan.outcomes x
            WHERE x.group_id = b.group_id AND x.ended_at < at - b.time_window AND x.ended_at > since - b.time_window
            ORDER BY x.ended_at LIMIT 10000 FOR UPDATE SKIP LOCKED) y) old
    WHERE o.ctid = old.ctid;
END $$;
COMMENT ON FUNCTION vulkan.forget_outcomes(timestamptz) IS 'Internal. Deletes the outcomes whose window is over.';
