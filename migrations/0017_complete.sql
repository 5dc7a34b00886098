-- Complete: a message done in the transaction that does its work.

CREATE FUNCTION vulkan.complete(group_id integer, event_offset bigint, token bigint, lane bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- A rewind waits for this transaction, lest what it marks done survives it.
    PERFORM pg_advisory_xact_lock_shared(1459617795, group_id);
    IF lane IS NOT NULL THEN
        INSERT INTO vulkan.exceptions AS x (group_id, "offset", status, lane, attempts, token, claimed_at, worker)
        SELECT l.group_id, complete.event_offset, 'done', l.key_hash, 1, l.token, l.claimed_at, l.worker
        FROM vulkan.lanes l
        WHERE l.group_id = complete.group_id AND l.key_hash = complete.lane AND l.token = complete.token
          AND l.lease_until IS NOT NULL
        ON CONFLICT ON CONSTRAINT exceptions_pkey DO UPDATE
            SET status = 'done', attempts = x.attempts + 1, token = EXCLUDED.token, solo = false,
                claimed_at = EXCLUDED.claimed_at, worker = EXCLUDED.worker, updated_at = clock_timestamp()
            WHERE x.status = 'ready';
        IF FOUND THEN
            RETURN;
        END IF;
    ELSE
        -- Twice: between the look at its own row and the look at its claim, the claim may have been
        -- settled, and the message have got a row of its own.
        FOR i IN 1 .. 2 LOOP
            UPDATE vulkan.exceptions x SET status = 'done', lease_until = NULL, updated_at = clock_timestamp()
            WHERE x.group_id = complete.group_id AND x."offset" = complete.event_offset AND x.token = complete.token
              AND x.lease_until IS NOT NULL;
            IF FOUND THEN
                RETURN;
            END IF;
            INSERT INTO vulkan.exceptions (group_id, "offset", status, attempts, token, claimed_at, worker)
            SELECT c.group_id, complete.event_offset, 'done', 1, c.token, c.claimed_at, c.worker
            FROM vulkan.claims c
            WHERE c.group_id = complete.group_id AND c.token = complete.token AND c.lease_until IS NOT NULL
              AND c.lo < complete.event_offset
              AND c.hi = (SELECT n.hi FROM vulkan.claims n WHERE n.group_id = complete.group_id
                          AND n.hi >= complete.event_offset ORDER BY n.hi LIMIT 1)
            ON CONFLICT DO NOTHING;
            IF FOUND THEN
                RETURN;
            END IF;
        END LOOP;
    END IF;
    RAISE EXCEPTION 'message % is held by somebody else by now, or done', event_offset
        USING ERRCODE = 'VK007', HINT = 'Roll back: its effects belong to who holds it.';
END $$;
COMMENT ON FUNCTION vulkan.complete(integer, bigint, bigint, bigint) IS 'Marks a message done in the caller''s transaction, which also holds what its handler wrote: both commit, or neither. Of two workers that hold the same message, because a lease was lost, only one can commit that. Call it last, shortly before COMMIT. Raises VK007 if the lease is lost; then roll back.';
