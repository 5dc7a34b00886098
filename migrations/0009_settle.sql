-- Settle: what became of the messages of a claim.

CREATE FUNCTION vulkan.backoff(initial interval, maximum interval, attempt integer) RETURNS interval
LANGUAGE sql VOLATILE AS $$
    SELECT make_interval(secs => least(extract(epoch FROM maximum)::float8,
        extract(epoch FROM initial)::float8 * power(2::float8, least(greatest(attempt, 1) - 1, 60)))
        * (0.9 + 0.2 * random()))
$$;
COMMENT ON FUNCTION vulkan.backoff(interval, interval, integer) IS 'The delay after a failed attempt: initial * 2^(attempt - 1), capped at maximum, give or take a random tenth so that what failed together does not come back together.';

CREATE FUNCTION vulkan.settle(
    group_id integer, claim_his bigint[] DEFAULT '{}', claim_tokens bigint[] DEFAULT '{}',
    offsets bigint[] DEFAULT '{}', tokens bigint[] DEFAULT '{}', lanes bigint[] DEFAULT '{}',
    outcomes text[] DEFAULT '{}', delays interval[] DEFAULT '{}', errors text[] DEFAULT '{}'
) RETURNS TABLE (event_offset bigint, verdict text)
LANGUAGE plpgsql ROWS 10 AS $$
#variable_conflict use_column
DECLARE
    g         vulkan.groups;
    live      bigint[];
    tally     integer[];
    said      CONSTANT text[] := outcomes;
    requested boolean;
BEGIN
    IF cardinality(offsets) <> ALL (ARRAY[cardinality(settle.tokens), cardinality(outcomes)])
       OR cardinality(claim_his) <> cardinality(claim_tokens)
       OR outcomes && ARRAY(SELECT o FROM unnest(outcomes) o EXCEPT VALUES ('done'), ('progress'), ('running'), ('retry'), ('dead'), ('snooze'), ('release')) THEN
        RAISE EXCEPTION 'the arrays of settle differ in length or hold an unknown outcome'
            USING ERRCODE = 'VK003', HINT = 'Outcomes are done, progress, running, retry, dead, snooze and release.';
    END IF;
    IF interval '1000 years' < ANY (delays) THEN
        RAISE EXCEPTION 'a delay of % is too long', (SELECT max(d) FROM unnest(delays) d)
            USING ERRCODE = 'VK003', HINT = 'Use one of up to 1000 years, or end the message as dead.';
    END IF;
    -- Losing a settlement in a server crash repeats messages, and loses none.
    PERFORM set_config('synchronous_commit', 'off', true) WHERE pg_current_xact_id_if_assigned() IS NULL;
    -- The latch comes before any row lock, here as everywhere, and before the group is read: what it binds
    -- can change until then.
    IF EXISTS (SELECT FROM unnest(lanes) l WHERE l IS NOT NULL) THEN
        PERFORM vulkan.latch(group_id);
    END IF;
    SELECT x.* INTO g FROM vulkan.groups x WHERE x.group_id = settle.group_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no group with id %', group_id USING ERRCODE = 'VK002', HINT = 'See vulkan.groups.';
    END IF;
    -- Held before they are looked at: an update by ctid does not follow a row that extend() replaces meanwhile.
    PERFORM FROM (SELECT * FROM unnest(claim_his, claim_tokens) AS v(hi, token) ORDER BY v.hi) u
    CROSS JOIN LATERAL (SELECT FROM vulkan.claims n WHERE n.group_id = settle.group_id AND n.hi = u.hi
                        AND n.token = u.token LIMIT 1 FOR UPDATE) y;
    PERFORM FROM (SELECT * FROM unnest(offsets, settle.tokens, lanes) AS v(o, token, lane) WHERE v.lane IS NULL ORDER BY v.o) u
    CROSS JOIN LATERAL (SELECT FROM vulkan.exceptions n WHERE n.group_id = settle.group_id
                        AND n."offset" = u.o AND n.token = u.token LIMIT 1 FOR UPDATE) y;
    IF g.breaker THEN
        tally := vulkan.tally_lanes(g, offsets, settle.tokens, lanes, said);
    END IF;
    -- After the locks: who asks for a message to stop holds its rows while the request is written.
    requested := EXISTS (SELECT FROM vulkan.cancel_requests c WHERE c.group_id = settle.group_id);
    IF requested THEN
        SELECT array_agg(h.outcome ORDER BY h.nth), array_agg(h.error ORDER BY h.nth) INTO outcomes, errors
        FROM vulkan.heeded(group_id, offsets, outcomes, errors) h;
    END IF;
    IF EXISTS (SELECT FROM unnest(lanes) l WHERE l IS NOT NULL) THEN
        RETURN QUERY SELECT * FROM vulkan.settle_lanes(g, offsets, settle.tokens, lanes, outcomes, delays, errors);
    END IF;
    IF g.breaker THEN
        PERFORM vulkan.note_outcomes(g, tally, vulkan.tally_messages(g, claim_his, claim_tokens, offsets, settle.tokens, lanes, said));
    END IF;
    WITH closed AS (
        UPDATE vulkan.claims c SET settled_at = clock_timestamp(), lease_until = NULL
        FROM unnest(claim_his, claim_tokens) AS u(hi, token)
        CROSS JOIN LATERAL (SELECT n.ctid FROM vulkan.claims n WHERE n.group_id = settle.group_id AND n.hi = u.hi LIMIT 1) y
        WHERE c.ctid = y.ctid AND c.token = u.token AND c.lease_until IS NOT NULL
        RETURNING c.token
    )
    SELECT array_agg(c.token) INTO live FROM closed c;
    RETURN QUERY SELECT NULL::bigint, 'stale' FROM unnest(claim_tokens) AS u(token) WHERE u.token <> ALL (coalesce(live, '{}'));
    IF cardinality(offsets) > 0 THEN
        RETURN QUERY SELECT * FROM vulkan.settle_exceptions(g, coalesce(live, '{}'), offsets, settle.tokens, lanes, outcomes, delays, errors);
    END IF;
    IF 'done' = ANY (outcomes) THEN
        PERFORM vulkan.forget_done_checkpoints(group_id, offsets);
    END IF;
    IF requested THEN
        PERFORM vulkan.heed_cancels(g, EXISTS (SELECT FROM unnest(lanes) l WHERE l IS NOT NULL));
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.settle(integer, bigint[], bigint[], bigint[], bigint[], bigint[], text[], interval[], text[]) IS
'Reports what became of claimed messages, in one call per group. Closing a claim (its hi and token) makes every message in it done that has no item of its own. Items, as arrays: offset, token, lane (NULL unless keyed), outcome, delay (NULL: the group''s backoff), error.
Unkeyed outcomes: done; retry (dead at the last attempt); dead; snooze and release (no attempt spent); running (it stays mine under a lease of its own, with the same token).
A lane takes one item: done or progress at an offset say that its run is done up to there, and that the lane is given back or kept; the other outcomes concern the message at the offset, and everything of the run before it is done.
A message that was asked to stop by cancel() ends done or dead: any outcome but done, progress and running becomes dead.
Returns a row for each item that did not simply end done: its verdict: ready, dead, running or stale. stale: somebody else holds it by now, and nothing was changed.
Begins a transaction that commits asynchronously: write and publish in the same one only before it, or in another.';

CREATE TYPE vulkan.message_report AS (
    o        bigint,
    token    bigint,
    claimed  boolean,
    outcome  text,
    delay    interval,
    error    text,
    attempts integer,
    status   text
);
COMMENT ON TYPE vulkan.message_report IS 'Internal. What a worker reports of an unkeyed message, and what becomes of it. claimed: it has no row of its own yet, only its claim.';

CREATE FUNCTION vulkan.settle_exceptions(
    g vulkan.groups, live_claims bigint[], offsets bigint[], tokens bigint[], lanes bigint[],
    outcomes text[], delays interval[], errors text[]
) RETURNS TABLE (event_offset bigint, verdict text)
LANGUAGE plpgsql ROWS 10 AS $$
#variable_conflict use_column
DECLARE
    at      CONSTANT timestamptz := clock_timestamp();
    reports vulkan.message_report[];
    kept    bigint[];
    born    bigint[];
    fates   text[];
    fated   text[];
BEGIN
    -- What was handed out with a claim has begun its first attempt; the others count in their row.
    SELECT array_agg(ROW(i.o, i.token, i.claimed, i.outcome, i.delay, i.error, coalesce(x.attempts, 1),
               -- Completed in its handler's own transaction before: nothing is left to say.
               CASE WHEN i.outcome = 'done' AND (i.claimed OR x.status = 'done') THEN 'said'
                    WHEN i.outcome = 'done' THEN 'done'
                    WHEN i.outcome IN ('running', 'progress') THEN 'processing'
                    WHEN i.outcome = 'dead' OR (i.outcome = 'retry' AND coalesce(x.attempts, 1) >= g.max_attempts) THEN 'dead'
                    ELSE 'ready' END)::vulkan.message_report
               -- As complete_many() marks them, lest each waits for the other.
               ORDER BY i.o)
    INTO reports
    FROM (SELECT u.o, u.token, u.outcome, u.delay, left(u.error, 4096) AS error, u.token = ANY (live_claims) AS claimed
          FROM unnest(offsets, settle_exceptions.tokens, lanes, outcomes, delays, errors) AS u(o, token, lane, outcome, delay, error)
          WHERE u.lane IS NULL) i
    LEFT JOIN LATERAL (SELECT n.attempts, n.status FROM vulkan.exceptions n
                       WHERE n.group_id = g.group_id AND n."offset" = i.o AND n.token = i.token LIMIT 1) x ON NOT i.claimed;
    WITH changed AS (
        UPDATE vulkan.exceptions x
        SET status = r.status,
            attempts = x.attempts - (r.outcome IN ('snooze', 'release'))::integer,
            token = CASE WHEN r.status = 'processing' THEN x.token ELSE nextval('vulkan.token_seq') END,
            solo = x.solo AND r.outcome IN ('release', 'running'),
            run_at = CASE r.outcome WHEN 'retry' THEN at + coalesce(r.delay, vulkan.backoff(g.backoff_initial, g.backoff_max, r.attempts))
                                    WHEN 'snooze' THEN at + coalesce(r.delay, interval '0')
                                    WHEN 'release' THEN at ELSE x.run_at END,
            lease_until = CASE WHEN r.status = 'processing' THEN at + g.lease END,
            last_error = coalesce(r.error, x.last_error), updated_at = at
        FROM unnest(reports) r
        CROSS JOIN LATERAL (SELECT n.ctid FROM vulkan.exceptions n WHERE n.group_id = g.group_id AND n."offset" = r.o LIMIT 1) y
        WHERE NOT r.claimed AND r.status <> 'said' AND x.ctid = y.ctid AND x.token = r.token AND x.lease_until IS NOT NULL
        RETURNING x."offset", x.status
    )
    SELECT array_agg(c."offset"), array_agg(c.status) INTO kept, fates FROM changed c;
    WITH added AS (
        INSERT INTO vulkan.exceptions (group_id, "offset", status, attempts, token, run_at, claimed_at, lease_until, worker, last_error)
        SELECT g.group_id, r.o, r.status, 1 - (r.outcome IN ('snooze', 'release'))::integer,
               -- What runs on keeps its token: its worker may settle or complete it at any moment.
               CASE WHEN r.status = 'processing' THEN r.token ELSE nextval('vulkan.token_seq') END,
               CASE r.outcome WHEN 'retry' THEN at + coalesce(r.delay, vulkan.backoff(g.backoff_initial, g.backoff_max, 1))
                              WHEN 'snooze' THEN at + coalesce(r.delay, interval '0')
                              ELSE at END,
               c.claimed_at, CASE WHEN r.status = 'processing' THEN at + g.lease END, c.worker, r.error
        FROM unnest(reports) r
        CROSS JOIN LATERAL (SELECT n.* FROM vulkan.claims n WHERE n.group_id = g.group_id AND n.hi >= r.o ORDER BY n.hi LIMIT 1) c
        WHERE r.claimed AND r.status <> 'said' AND c.token = r.token AND r.o > c.lo
        ON CONFLICT DO NOTHING
        RETURNING "offset", status
    )
    SELECT array_agg(c."offset"), array_agg(c.status) INTO born, fated FROM added c;
    RETURN QUERY
    SELECT u.o, CASE u.status WHEN 'processing' THEN 'running' ELSE u.status END
    FROM unnest(kept || born, fates || fated) AS u(o, status) WHERE u.status <> 'done';
    RETURN QUERY
    SELECT s.o, 'stale'
    FROM (SELECT r.o FROM unnest(reports) r WHERE r.status <> 'said' EXCEPT SELECT unnest(kept || born)) s
    -- Completed by its holder since the report was written: nothing of it is lost.
    WHERE NOT EXISTS (SELECT FROM unnest(reports) r JOIN vulkan.exceptions x ON x.group_id = g.group_id AND x."offset" = r.o AND x.token = r.token
                      WHERE r.o = s.o AND r.outcome = 'running' AND x.status = 'done');
END $$;
COMMENT ON FUNCTION vulkan.settle_exceptions(vulkan.groups, bigint[], bigint[], bigint[], bigint[], text[], interval[], text[]) IS 'Internal. The unkeyed items of settle(). Every change is fenced by the token.';

CREATE TYPE vulkan.lane_report AS (
    o          bigint,
    token      bigint,
    lane       bigint,
    outcome    text,
    delay      interval,
    error      text,
    old_head   bigint,
    head       bigint,
    straggler  bigint,
    opened     boolean,
    claimed_at timestamptz,
    worker     text,
    attempts   integer,
    skipped    boolean,
    prefix     bigint,
    held       integer,
    status     text
);
COMMENT ON TYPE vulkan.lane_report IS 'Internal. What a worker reports of a lane, with what stands of the lane: its head before and after, and what becomes of the message.';

CREATE FUNCTION vulkan.settle_lanes(
    g vulkan.groups, offsets bigint[], tokens bigint[], lanes bigint[],
    outcomes text[], delays interval[], errors text[]
) RETURNS TABLE (event_offset bigint, verdict text)
LANGUAGE plpgsql ROWS 10 AS $$
#variable_conflict use_column
DECLARE
    at      CONSTANT timestamptz := clock_timestamp();
    reports vulkan.lane_report[];
    stale   bigint[];
    blocked bigint[];
BEGIN
    SELECT array_agg(ROW(h.o, h.token, h.lane, h.outcome, h.delay, h.error, h.old_head,
               CASE WHEN h.straggler IS NOT NULL THEN h.old_head
                    WHEN h.status = 'done' OR (h.status = 'dead' AND g.on_dead = 'advance') THEN greatest(h.old_head, h.o)
                    ELSE greatest(h.old_head, h.o - 1) END,
               h.straggler, h.opened, h.claimed_at, h.worker, h.attempts, h.skipped, h.prefix_hash, h.handed, h.status)::vulkan.lane_report)
               FILTER (WHERE h.held),
           array_agg(h.o) FILTER (WHERE NOT h.held)
    INTO reports, stale
    FROM (SELECT i.o, i.token, i.lane, i.outcome, i.delay, left(i.error, 4096) AS error,
                 l.head AS old_head, l.straggler, l.opened, l.claimed_at, l.worker, l.prefix_hash, l.held AS handed,
                 -- What was reported done cannot fail any more.
                 coalesce(l.straggler IS NOT NULL OR i.o > l.head OR i.outcome IN ('done', 'progress'), false) AND l.token IS NOT NULL AS held,
                 coalesce(x.attempts, 0) + 1 AS attempts, coalesce(x.status = 'done', false) AS skipped,
                 -- Skipped meanwhile: done, whatever its handler has to say.
                 CASE WHEN i.outcome IN ('done', 'progress') OR x.status = 'done' THEN 'done'
                      WHEN i.outcome = 'dead' OR (i.outcome = 'retry' AND coalesce(x.attempts, 0) + 1 >= g.max_attempts) THEN 'dead'
                      ELSE 'ready' END AS status
          FROM unnest(offsets, settle_lanes.tokens, lanes, outcomes, delays, errors) AS i(o, token, lane, outcome, delay, error)
          -- Held from here on: the updates below go by ctid, and would not follow a row that extend() replaces meanwhile.
          LEFT JOIN LATERAL (SELECT n.* FROM vulkan.keys n WHERE n.group_id = g.group_id AND n.key_hash = i.lane
                             AND n.token = i.token AND n.lease_until IS NOT NULL LIMIT 1 FOR UPDATE) l ON true
          LEFT JOIN LATERAL (SELECT n.attempts, n.status FROM vulkan.exceptions n
                             WHERE n.group_id = g.group_id AND n."offset" = i.o LIMIT 1) x ON true
          WHERE i.lane IS NOT NULL) h;
    -- A run that was handed out with its claim has its record in the claim.
    INSERT INTO vulkan.runs (group_id, key_hash, lo, hi, claimed_at, worker)
    SELECT g.group_id, r.lane, r.old_head, r.head, r.claimed_at, r.worker
    FROM unnest(reports) r WHERE r.head > r.old_head AND NOT r.opened;
    -- Messages of the run with a story of their own, whose later attempt it was.
    UPDATE vulkan.exceptions x
    SET status = 'done', attempts = x.attempts + 1, solo = false, worker = r.worker, claimed_at = r.claimed_at,
        token = nextval('vulkan.token_seq'), updated_at = at
    FROM unnest(reports) r
    CROSS JOIN LATERAL (SELECT n.ctid, n."offset" FROM vulkan.exceptions n
                        WHERE n.group_id = g.group_id AND n.lane = r.lane AND n.status = 'ready' OFFSET 0) y
    WHERE x.ctid = y.ctid AND x.status = 'ready'
      AND CASE WHEN r.straggler IS NOT NULL THEN y."offset" = r.straggler AND r.status = 'done'
               ELSE y."offset" > r.old_head AND y."offset" <= r.o - (r.status <> 'done')::integer END;
    INSERT INTO vulkan.exceptions AS x (group_id, "offset", status, lane, attempts, token, run_at, claimed_at, worker, last_error)
    SELECT g.group_id, r.o, r.status, r.lane, r.attempts - (r.outcome = 'snooze')::integer, nextval('vulkan.token_seq'),
           CASE r.outcome WHEN 'retry' THEN at + coalesce(r.delay, vulkan.backoff(g.backoff_initial, g.backoff_max, r.attempts))
                          ELSE at + coalesce(r.delay, interval '0') END,
           r.claimed_at, r.worker, r.error
    FROM unnest(reports) r WHERE r.status <> 'done' AND r.outcome <> 'release'
    ON CONFLICT ON CONSTRAINT exceptions_pkey DO UPDATE
        SET status = EXCLUDED.status, attempts = EXCLUDED.attempts, token = EXCLUDED.token, run_at = EXCLUDED.run_at,
            solo = false, claimed_at = EXCLUDED.claimed_at, worker = EXCLUDED.worker,
            last_error = coalesce(EXCLUDED.last_error, x.last_error), updated_at = at
        WHERE x.status = 'ready';
    UPDATE vulkan.keys l SET head = r.head, lease_until = at + g.lease
    FROM unnest(reports) r
    CROSS JOIN LATERAL (SELECT n.ctid FROM vulkan.keys n WHERE n.group_id = g.group_id AND n.key_hash = r.lane ORDER BY n.token DESC LIMIT 1) y
    WHERE r.outcome = 'progress' AND l.ctid = y.ctid;
    IF g.on_dead = 'block' THEN
        WITH closed AS (
            UPDATE vulkan.keys l SET head = r.head, status = 'blocked', worker = NULL, lease_until = NULL
            FROM unnest(reports) r
            CROSS JOIN LATERAL (SELECT n.ctid FROM vulkan.keys n WHERE n.group_id = g.group_id AND n.key_hash = r.lane ORDER BY n.token DESC LIMIT 1) y
            WHERE r.status = 'dead' AND r.straggler IS NULL AND l.ctid = y.ctid
              -- Not by one that its holder's transaction has completed, for which the row of the message was waited: nobody could free it.
              AND EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" = r.o AND x.status = 'dead')
            RETURNING l.key_hash
        )
        SELECT array_agg(c.key_hash) INTO blocked FROM closed c;
    END IF;
    PERFORM vulkan.rest_lanes(g, array_agg(r.lane), array_agg(r.head))
    FROM unnest(reports) r
    WHERE r.outcome <> 'progress' AND r.lane <> ALL (coalesce(blocked, '{}'))
    HAVING count(*) > 0;
    IF g.prefixed THEN
        PERFORM vulkan.unpark(g, array_agg(f.prefix), array_agg(f.messages))
        FROM (SELECT r.prefix, sum(r.held) AS messages FROM unnest(reports) r WHERE r.outcome <> 'progress' GROUP BY 1) f
        HAVING count(*) > 0;
    END IF;
    RETURN QUERY
    SELECT r.o, CASE WHEN r.skipped OR EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" = r.o AND x.status = 'done')
                     THEN 'stale' ELSE r.status END
    FROM unnest(reports) r
    WHERE r.status <> 'done' OR (r.skipped AND r.outcome NOT IN ('done', 'progress'));
    RETURN QUERY SELECT u.o, 'stale' FROM unnest(stale) AS u(o);
END $$;
COMMENT ON FUNCTION vulkan.settle_lanes(vulkan.groups, bigint[], bigint[], bigint[], text[], interval[], text[]) IS 'Internal. The keyed items of settle(): heads move on, drained lanes go. The caller holds the latch.';
