-- What tests need beside the engine. It stands in a schema of its own, and only in databases of tests.

CREATE SCHEMA vulkan_testing;
COMMENT ON SCHEMA vulkan_testing IS 'Time that moves when told to, and a look at whether groups are idle. For tests only.';

-- Every time that is stored moves with the clock, those of tables to come included: only what is named here stays.
CREATE VIEW vulkan_testing.standing_times (relation, attribute, reason) AS
VALUES ('_sqlx_migrations'::name, 'installed_on'::name, 'the record of migrations is none of the engine''s');
COMMENT ON VIEW vulkan_testing.standing_times IS 'The columns of the schema vulkan that advance() leaves alone, and why.';

CREATE VIEW vulkan_testing.moving_times AS
SELECT c.oid::regclass AS relation, c.relname, array_agg(a.attname ORDER BY a.attnum) AS attributes
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
  AND NOT EXISTS (SELECT FROM vulkan_testing.standing_times s WHERE s.relation = c.relname AND s.attribute = a.attname)
GROUP BY c.oid;
COMMENT ON VIEW vulkan_testing.moving_times IS 'The columns of the schema vulkan that hold a time, by table: what advance() moves.';

-- Latches first and in order, before any row lock, as everywhere.
CREATE FUNCTION vulkan_testing.latch_all() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM vulkan.latch(g.group_id) FROM (SELECT x.group_id FROM vulkan.groups x ORDER BY x.group_id) g;
END $$;
COMMENT ON FUNCTION vulkan_testing.latch_all() IS 'Takes the latches of all groups until the transaction ends.';

CREATE FUNCTION vulkan_testing.advance(by interval) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moving record;
BEGIN
    IF by < interval '0' THEN
        RAISE EXCEPTION 'time only moves forward' USING ERRCODE = 'VK003', HINT = 'Give a span above zero.';
    END IF;
    PERFORM vulkan_testing.latch_all();
    -- To set the clock forward is to set all that was written by it back.
    FOR moving IN SELECT m.relation, (SELECT string_agg(format('%1$I = %1$I - $1', a), ', ') FROM unnest(m.attributes) a) AS changes
                  FROM vulkan_testing.moving_times m ORDER BY m.relname LOOP
        EXECUTE format('UPDATE %s SET %s', moving.relation, moving.changes) USING by;
    END LOOP;
    -- In this transaction: a worker that lives would else extend first what ran out.
    PERFORM vulkan.reap();
    -- A worker that sleeps until the next tick it knows of would else sleep on.
    PERFORM vulkan.ring_schedules();
END $$;
COMMENT ON FUNCTION vulkan_testing.advance(interval) IS 'Moves time forward: all stored times of the engine go back by so much, and leases that have run out are taken back.';

CREATE FUNCTION vulkan_testing.expire_leases() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    past CONSTANT timestamptz := clock_timestamp() - interval '1 second';
BEGIN
    PERFORM vulkan_testing.latch_all();
    UPDATE vulkan.claims SET lease_until = past WHERE settled_at IS NULL;
    UPDATE vulkan.exceptions SET lease_until = past WHERE status = 'processing';
    UPDATE vulkan.lanes SET lease_until = past WHERE status = 'processing';
END $$;
COMMENT ON FUNCTION vulkan_testing.expire_leases() IS 'Lets every lease that is held now run out. Nobody takes them back yet.';

CREATE FUNCTION vulkan_testing.lose_leases() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM vulkan_testing.expire_leases();
    PERFORM vulkan.reap();
END $$;
COMMENT ON FUNCTION vulkan_testing.lose_leases() IS 'Lets every lease that is held now run out, and takes them back, as if the workers had died.';

CREATE FUNCTION vulkan_testing.all_due() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    now CONSTANT timestamptz := clock_timestamp();
BEGIN
    PERFORM vulkan_testing.latch_all();
    UPDATE vulkan.events SET deliver_at = now WHERE deliver_at > now;
    UPDATE vulkan.exceptions SET run_at = now WHERE run_at > now;
    UPDATE vulkan.lanes SET run_at = now WHERE run_at > now;
END $$;
COMMENT ON FUNCTION vulkan_testing.all_due() IS 'Lets every backoff, snooze and delay of a message be over.';

-- A handler publishes before it is settled. So what is in work is looked at first, and what is due after it: with no claim
-- in between, there is nothing that neither look has seen. A claim holds its lock on the exceptions from beginning to end,
-- and draws its token in between: one of the two shows.
CREATE FUNCTION vulkan_testing.look(streams text[], groups text[])
RETURNS TABLE (stream text, consumer_group text, made boolean, processing bigint, due boolean, pending boolean, due_in interval, claimed boolean, ticks boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    drawn   bigint;
    changes boolean;
    firing  boolean;
    served  record;
    before  jsonb;
BEGIN
    SELECT q.last_value + q.is_called::integer INTO drawn FROM vulkan.token_seq q;
    SELECT count(*) > 0 INTO changes FROM pg_locks l
    WHERE l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND l.relation = 'vulkan.exceptions'::regclass AND l.mode <> 'AccessShareLock' AND l.pid <> pg_backend_pid();
    -- A tick is published in the transaction that moves its schedule on, so it is looked for before what it publishes.
    SELECT count(*) > 0 INTO firing FROM vulkan.due_schedules(look_ahead => interval '0');
    SELECT jsonb_object_agg(w.consumer_group || '@' || w.stream, w.messages) INTO before
    FROM (SELECT d.stream, d.consumer_group, count(*) AS messages FROM vulkan.deliveries d
          WHERE d.status = 'processing' GROUP BY 1, 2) w;
    FOR served IN SELECT u.stream AS in_stream, u.consumer_group AS named, g.group_id
                  FROM unnest(look.streams, look.groups) AS u(stream, consumer_group)
                  LEFT JOIN vulkan.streams s ON s.name = u.stream
                  LEFT JOIN vulkan.groups g ON g.stream_id = s.stream_id AND g.name = u.consumer_group LOOP
        stream := served.in_stream;
        consumer_group := served.named;
        made := served.group_id IS NOT NULL;
        processing := coalesce((before ->> (served.named || '@' || served.in_stream))::bigint, 0);
        due := false;
        pending := changes;
        ticks := firing;
        due_in := NULL;
        claimed := false;
        IF made THEN
            SELECT l.due, l.pending OR changes, l.next_at - clock_timestamp() INTO due, pending, due_in
            FROM vulkan.look(ARRAY[served.group_id]) l;
            SELECT q.last_value + q.is_called::integer <> drawn INTO claimed FROM vulkan.token_seq q;
        END IF;
        RETURN NEXT;
    END LOOP;
    IF cardinality(groups) = 0 THEN
        -- A worker that only fires schedules.
        SELECT '', '', true, 0, false, changes, NULL, false, firing
        INTO stream, consumer_group, made, processing, due, pending, due_in, claimed, ticks;
        RETURN NEXT;
    END IF;
END $$;
COMMENT ON FUNCTION vulkan_testing.look(text[], text[]) IS 'How far groups are from idle: messages in work, whether something is due, whether a transaction is in flight that publishes or claims, when the next message falls due, whether anything was claimed during the look, and whether a schedule is due, or has yet to be planned.';
