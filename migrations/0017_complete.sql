-- Complete: a message done in the transaction that does its work.

CREATE FUNCTION vulkan.complete(group_id integer, event_offset bigint, token bigint, lane bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    marked boolean;
BEGIN
    -- A rewind waits for this transaction, lest what it marks done survives it.
    PERFORM pg_advisory_xact_lock_shared(1459617795, group_id);
    IF lane IS NOT NULL THEN
        INSERT INTO vulkan.exceptions AS x (group_id, "offset", status, lane, attempts, token, claimed_at, worker)
        SELECT l.group_id, complete.event_offset, 'done', l.key_hash, 1, l.token, l.claimed_at, l.worker
        FROM vulkan.keys l
        WHERE l.group_id = complete.group_id AND l.key_hash = complete.lane AND l.token = complete.token
          AND l.lease_until IS NOT NULL
        ON CONFLICT ON CONSTRAINT exceptions_pkey DO UPDATE
            SET status = 'done', attempts = x.attempts + 1, token = EXCLUDED.token, solo = false,
                claimed_at = EXCLUDED.claimed_at, worker = EXCLUDED.worker, updated_at = clock_timestamp()
            WHERE x.status = 'ready';
        -- Read anew: this may have waited for whoever took the lane away, and has made it ready for this very message.
        marked := FOUND AND EXISTS (
            SELECT FROM vulkan.keys l
            WHERE l.group_id = complete.group_id AND l.key_hash = complete.lane AND l.token = complete.token AND l.lease_until IS NOT NULL);
    ELSE
        -- Twice: between the look at its own row and the look at its claim, the claim may have been
        -- settled, and the message have got a row of its own.
        FOR i IN 1 .. 2 LOOP
            UPDATE vulkan.exceptions x SET status = 'done', lease_until = NULL, updated_at = clock_timestamp()
            WHERE x.group_id = complete.group_id AND x."offset" = complete.event_offset AND x.token = complete.token
              AND x.lease_until IS NOT NULL;
            marked := FOUND;
            EXIT WHEN marked;
            INSERT INTO vulkan.exceptions (group_id, "offset", status, attempts, token, claimed_at, worker)
            SELECT c.group_id, complete.event_offset, 'done', 1, c.token, c.claimed_at, c.worker
            FROM vulkan.claims c
            WHERE c.group_id = complete.group_id AND c.token = complete.token AND c.lease_until IS NOT NULL
              AND c.lo < complete.event_offset
              AND c.hi = (SELECT n.hi FROM vulkan.claims n WHERE n.group_id = complete.group_id
                          AND n.hi >= complete.event_offset ORDER BY n.hi LIMIT 1)
            ON CONFLICT DO NOTHING;
            marked := FOUND;
            EXIT WHEN marked;
        END LOOP;
    END IF;
    IF NOT marked THEN
        RAISE EXCEPTION 'message % is held by somebody else by now, or done', event_offset
            USING ERRCODE = 'VK007', HINT = 'Roll back: its effects belong to who holds it.';
    END IF;
    -- The message before its checkpoint, as save_checkpoint() takes them.
    PERFORM vulkan.forget_checkpoints(group_id, ARRAY[event_offset]);
END $$;
COMMENT ON FUNCTION vulkan.complete(integer, bigint, bigint, bigint) IS 'Marks a message done in the caller''s transaction, which also holds what its handler wrote: both commit, or neither. Of two workers that hold the same message, because a lease was lost, only one can commit that. Call it last, shortly before COMMIT. Raises VK007 if the lease is lost; then roll back.';

CREATE FUNCTION vulkan.complete_many(group_id integer, event_offsets bigint[], tokens bigint[], lanes bigint[] DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    marked bigint[] := '{}';
    more   bigint[];
    lost   bigint[];
BEGIN
    IF cardinality(event_offsets) <> cardinality(complete_many.tokens)
       OR cardinality(complete_many.lanes) NOT IN (0, cardinality(event_offsets)) THEN
        RAISE EXCEPTION 'the arrays of complete_many differ in length'
            USING ERRCODE = 'VK003', HINT = 'Give a token for each offset, and a lane for each or for none.';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(1459617795, group_id);
    -- Everything in order of offset, here and in settle(): who marks the same messages at the same time then
    -- waits for the other, and not both for each other.
    WITH keyed AS (
        INSERT INTO vulkan.exceptions AS x (group_id, "offset", status, lane, attempts, token, claimed_at, worker)
        SELECT complete_many.group_id, u.o, 'done', l.key_hash, 1, l.token, l.claimed_at, l.worker
        FROM (SELECT * FROM unnest(event_offsets, complete_many.tokens, complete_many.lanes) AS v(o, token, lane)
              WHERE v.lane IS NOT NULL ORDER BY v.o) u
        CROSS JOIN LATERAL (SELECT n.* FROM vulkan.keys n WHERE n.group_id = complete_many.group_id AND n.key_hash = u.lane AND n.token = u.token LIMIT 1) l
        WHERE l.token = u.token AND l.lease_until IS NOT NULL
        ON CONFLICT ON CONSTRAINT exceptions_pkey DO UPDATE
            SET status = 'done', attempts = x.attempts + 1, token = EXCLUDED.token, solo = false,
                claimed_at = EXCLUDED.claimed_at, worker = EXCLUDED.worker, updated_at = clock_timestamp()
            WHERE x.status = 'ready'
        RETURNING x."offset"
    )
    SELECT coalesce(array_agg(k."offset"), '{}') INTO marked FROM keyed k;
    -- Read anew: this may have waited for whoever took a lane away, and has made it ready for one of these messages.
    IF cardinality(marked) > 0 THEN
        marked := ARRAY(SELECT u.o FROM unnest(event_offsets, complete_many.tokens, complete_many.lanes) AS u(o, token, lane)
                        CROSS JOIN LATERAL (SELECT FROM vulkan.keys n WHERE n.group_id = complete_many.group_id AND n.key_hash = u.lane
                                            AND n.token = u.token AND n.lease_until IS NOT NULL LIMIT 1) l
                        WHERE u.o = ANY (marked));
    END IF;
    -- Twice: a claim may be settled between the look at the messages' own rows and the look at it.
    FOR i IN 1 .. 2 LOOP
        EXIT WHEN cardinality(marked) = cardinality(event_offsets);
        -- Held before they are changed: an update by ctid does not follow a row that extend() replaces meanwhile.
        PERFORM FROM (SELECT * FROM unnest(event_offsets, complete_many.tokens, complete_many.lanes) AS v(o, token, lane)
                      WHERE v.lane IS NULL AND v.o <> ALL (marked) ORDER BY v.o) u
        CROSS JOIN LATERAL (SELECT FROM vulkan.exceptions n WHERE n.group_id = complete_many.group_id
                            AND n."offset" = u.o AND n.token = u.token LIMIT 1 FOR UPDATE) y;
        WITH own AS (
            UPDATE vulkan.exceptions x SET status = 'done', lease_until = NULL, updated_at = clock_timestamp()
            FROM unnest(event_offsets, complete_many.tokens, complete_many.lanes) AS u(o, token, lane)
            CROSS JOIN LATERAL (SELECT n.ctid FROM vulkan.exceptions n WHERE n.group_id = complete_many.group_id
                                AND n."offset" = u.o LIMIT 1) y
            WHERE u.lane IS NULL AND x.ctid = y.ctid AND x.token = u.token AND x.lease_until IS NOT NULL
            RETURNING x."offset"
        )
        SELECT array_agg(o."offset") INTO more FROM own o;
        marked := marked || more;
        WITH claimed AS (
            INSERT INTO vulkan.exceptions (group_id, "offset", status, attempts, token, claimed_at, worker)
            SELECT complete_many.group_id, u.o, 'done', 1, c.token, c.claimed_at, c.worker
            FROM (SELECT * FROM unnest(event_offsets, complete_many.tokens, complete_many.lanes) AS v(o, token, lane)
                  WHERE v.lane IS NULL AND v.o <> ALL (marked) ORDER BY v.o) u
            CROSS JOIN LATERAL (SELECT n.* FROM vulkan.claims n WHERE n.group_id = complete_many.group_id
                                AND n.hi >= u.o ORDER BY n.hi LIMIT 1) c
            WHERE c.token = u.token AND c.lease_until IS NOT NULL AND c.lo < u.o
            ON CONFLICT DO NOTHING
            RETURNING "offset"
        )
        SELECT array_agg(c."offset") INTO more FROM claimed c;
        marked := marked || more;
    END LOOP;
    lost := ARRAY(SELECT o FROM unnest(event_offsets) o WHERE o <> ALL (marked) ORDER BY o);
    IF cardinality(lost) > 0 THEN
        RAISE EXCEPTION '% of % messages are held by somebody else by now, or done, the first of them %',
            cardinality(lost), cardinality(event_offsets), lost[1]
            USING ERRCODE = 'VK007', HINT = 'Roll back: their effects belong to who holds them. The others can be handled again.';
    END IF;
    PERFORM vulkan.forget_checkpoints(group_id, event_offsets);
END $$;
COMMENT ON FUNCTION vulkan.complete_many(integer, bigint[], bigint[], bigint[]) IS 'complete() for several messages of a group at once: all of them are done when the caller''s transaction commits, or none is. Arrays of offset, token, and lane (NULL unless keyed; left out if none is). Raises VK007 if the lease of any of them is lost; then roll back.';
