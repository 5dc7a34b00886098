-- Checkpoints: how far a handler came with a message, for the attempt after this one.

CREATE TABLE vulkan.checkpoints (
    group_id   integer NOT NULL,
    "offset"   bigint NOT NULL,
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    look_at    timestamptz NOT NULL DEFAULT clock_timestamp() + interval '10 minutes',
    PRIMARY KEY (group_id, "offset")
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX checkpoints_look_at ON vulkan.checkpoints (look_at);
COMMENT ON TABLE vulkan.checkpoints IS 'One row: what a handler noted of a message for its next attempt. It goes some time after the message is done; a dead message keeps it, for a redrive.';
COMMENT ON COLUMN vulkan.checkpoints.look_at IS 'When sweep_checkpoints() looks next whether the message is done. Later and later, so that what stays, such as that of dead messages, costs little.';

CREATE FUNCTION vulkan.save_checkpoint(group_id integer, event_offset bigint, token bigint, lane bigint, value jsonb) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
#variable_conflict use_column
DECLARE
    held boolean;
BEGIN
    IF save_checkpoint.value IS NULL OR octet_length(save_checkpoint.value::text) > 1048576 THEN
        RAISE EXCEPTION 'a checkpoint of % bytes is none: there must be one, of at most 1048576', coalesce(octet_length(save_checkpoint.value::text), 0)
            USING ERRCODE = 'VK003', HINT = 'Keep large results where they belong, and a reference to them here.';
    END IF;
    -- Held to the end: who takes the lease away waits for this, or this finds it gone. So nobody overwrites
    -- what the next attempt has read.
    IF lane IS NOT NULL THEN
        PERFORM FROM vulkan.keys l
        WHERE l.group_id = save_checkpoint.group_id AND l.key_hash = save_checkpoint.lane AND l.token = save_checkpoint.token
          AND l.lease_until IS NOT NULL FOR SHARE;
        held := FOUND;
    ELSE
        -- Twice: between the two looks the claim may have been settled, and the message have got a row of its own.
        FOR i IN 1 .. 2 LOOP
            PERFORM FROM vulkan.exceptions x
            WHERE x.group_id = save_checkpoint.group_id AND x."offset" = save_checkpoint.event_offset AND x.token = save_checkpoint.token
              AND x.lease_until IS NOT NULL FOR SHARE;
            held := FOUND;
            EXIT WHEN held;
            PERFORM FROM (SELECT n.* FROM vulkan.claims n
                          WHERE n.group_id = save_checkpoint.group_id AND n.hi >= save_checkpoint.event_offset
                          ORDER BY n.hi LIMIT 1 FOR SHARE) c
            WHERE c.token = save_checkpoint.token AND c.lease_until IS NOT NULL AND c.lo < save_checkpoint.event_offset
              AND NOT EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = save_checkpoint.group_id
                              AND x."offset" = save_checkpoint.event_offset);
            held := FOUND;
            EXIT WHEN held;
        END LOOP;
    END IF;
    IF NOT held THEN
        RAISE EXCEPTION 'message % is held by somebody else by now, or done', event_offset
            USING ERRCODE = 'VK007', HINT = 'Stop: the attempt that counts is another one.';
    END IF;
    INSERT INTO vulkan.checkpoints AS c (group_id, "offset", value)
    VALUES (save_checkpoint.group_id, save_checkpoint.event_offset, save_checkpoint.value)
    ON CONFLICT ON CONSTRAINT checkpoints_pkey DO UPDATE SET value = EXCLUDED.value, updated_at = clock_timestamp();
END $$;
COMMENT ON FUNCTION vulkan.save_checkpoint(integer, bigint, bigint, bigint, jsonb) IS 'Notes how far a handler came with a message it holds, in place of what was noted before: the next attempt reads it by checkpoint_of(), after a crash, a failure, or a redrive. Call it in a transaction of its own, so that it stays when the work is rolled back. At most a megabyte, else VK003. Raises VK007 if the lease is lost, and changes nothing then.';

CREATE FUNCTION vulkan.checkpoint_of(group_id integer, event_offset bigint) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT c.value FROM vulkan.checkpoints c WHERE c.group_id = checkpoint_of.group_id AND c."offset" = checkpoint_of.event_offset
$$;
COMMENT ON FUNCTION vulkan.checkpoint_of(integer, bigint) IS 'What save_checkpoint() noted last of a message, or NULL.';

CREATE FUNCTION vulkan.forget_checkpoints(group_id integer, offsets bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM vulkan.checkpoints c
    USING unnest(offsets) AS u(o)
    CROSS JOIN LATERAL (SELECT n.ctid FROM vulkan.checkpoints n WHERE n.group_id = forget_checkpoints.group_id AND n."offset" = u.o LIMIT 1) y
    WHERE c.ctid = y.ctid;
END $$;
COMMENT ON FUNCTION vulkan.forget_checkpoints(integer, bigint[]) IS 'Internal. Forgets the checkpoints of messages that are done. The caller holds their leases.';

CREATE FUNCTION vulkan.forget_done_checkpoints(group_id integer, offsets bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM vulkan.checkpoints c
    USING unnest(offsets) AS u(o)
    CROSS JOIN LATERAL (SELECT n.ctid FROM vulkan.checkpoints n WHERE n.group_id = forget_done_checkpoints.group_id AND n."offset" = u.o LIMIT 1) y
    WHERE c.ctid = y.ctid
      -- Not EXISTS, from which a plan could begin: there are very many done rows, and few checkpoints.
      AND (SELECT x.status FROM vulkan.exceptions x WHERE x.group_id = forget_done_checkpoints.group_id AND x."offset" = u.o) = 'done';
END $$;
COMMENT ON FUNCTION vulkan.forget_done_checkpoints(integer, bigint[]) IS 'Internal. Forgets the checkpoints of those of these messages that have a done row. What has none, since a range says that it is done, is left to sweep_checkpoints().';

CREATE FUNCTION vulkan.sweep_checkpoints(at_most integer DEFAULT 1000) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    due   record;
    over  boolean;
    swept integer := 0;
BEGIN
    FOR due IN SELECT x.group_id, x."offset" FROM vulkan.checkpoints x WHERE x.look_at <= clock_timestamp()
               ORDER BY x.look_at LIMIT at_most FOR UPDATE SKIP LOCKED LOOP
        -- Nothing comes back from done: a replay, which could bring it back, forgets the checkpoint itself.
        SELECT coalesce(vulkan.status_in(g, e."offset", e.kind, e.headers, e.partition_key), 'done') = 'done' INTO over
        FROM vulkan.groups g JOIN vulkan.events e ON e.stream_id = g.stream_id AND e."offset" = due."offset"
        WHERE g.group_id = due.group_id;
        IF coalesce(over, true) THEN
            DELETE FROM vulkan.checkpoints c WHERE c.group_id = due.group_id AND c."offset" = due."offset";
            swept := swept + 1;
        ELSE
            UPDATE vulkan.checkpoints c
            SET look_at = clock_timestamp() + greatest(interval '10 minutes', clock_timestamp() - c.updated_at)
            WHERE c.group_id = due.group_id AND c."offset" = due."offset";
        END IF;
    END LOOP;
    RETURN swept;
END $$;
COMMENT ON FUNCTION vulkan.sweep_checkpoints(integer) IS 'Internal. Deletes the checkpoints of messages that are done, of those whose turn it is to be looked at, at_most so many. Part of maintain(). Returns how many it deleted.';
