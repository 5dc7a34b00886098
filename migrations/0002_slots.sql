-- Partitions made ahead, slots rolled: DDL under one latch, each statement with a short lock_timeout.

CREATE FUNCTION vulkan.partitions_missing(stream_id integer, up_to_slot bigint)
RETURNS TABLE (first_slot bigint, last_slot bigint)
LANGUAGE sql STABLE AS $$
    SELECT p.n * s.slots_per_partition, (p.n + 1) * s.slots_per_partition - 1
    FROM vulkan.streams s
    CROSS JOIN LATERAL generate_series(
        (SELECT last_value / 1000000000 FROM vulkan.offset_seq) / s.slots_per_partition,
        partitions_missing.up_to_slot / s.slots_per_partition) AS p(n)
    WHERE s.stream_id = partitions_missing.stream_id
      AND to_regclass(format('vulkan.events_%s_%s', s.stream_id, p.n * s.slots_per_partition)) IS NULL
$$;
COMMENT ON FUNCTION vulkan.partitions_missing(integer, bigint) IS 'Internal. The partitions a stream lacks from the current slot up to the given one.';

CREATE FUNCTION vulkan.ensure_partitions(stream_id integer, up_to_slot bigint) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    missing record;
    leaf    text;
    made    integer := 0;
BEGIN
    FOR missing IN SELECT * FROM vulkan.partitions_missing(ensure_partitions.stream_id, ensure_partitions.up_to_slot) LOOP
        leaf := format('events_%s_%s', stream_id, missing.first_slot);
        -- LIKE and ATTACH, never PARTITION OF: that would lock out every publisher.
        EXECUTE format('CREATE TABLE vulkan.%I (LIKE vulkan.events INCLUDING ALL)', leaf);
        EXECUTE format('ALTER TABLE vulkan.%I ATTACH PARTITION vulkan.%I FOR VALUES FROM (%s) TO (%s)',
            format('events_%s', stream_id), leaf,
            missing.first_slot * 1000000000, (missing.last_slot + 1) * 1000000000);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION vulkan.ensure_partitions(integer, bigint) IS 'Internal. Makes the partitions of a stream up to a slot; the caller holds the maintenance latch. Returns how many it made.';

CREATE FUNCTION vulkan.create_stream(stream text, slots_per_partition integer DEFAULT 24) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    new_id integer;
BEGIN
    SELECT s.stream_id INTO new_id FROM vulkan.streams s WHERE s.name = create_stream.stream;
    IF FOUND THEN
        RETURN new_id;
    END IF;
    IF stream !~ '^[a-z0-9][a-z0-9._-]{0,127}$' THEN
        RAISE EXCEPTION 'stream name "%" is not valid', stream
            USING ERRCODE = 'VK003', HINT = 'Use 1 to 128 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit.';
    END IF;
    PERFORM pg_advisory_xact_lock(1459617793, 0);
    INSERT INTO vulkan.streams (name, slots_per_partition)
    VALUES (create_stream.stream, create_stream.slots_per_partition)
    ON CONFLICT (name) DO NOTHING
    RETURNING streams.stream_id INTO new_id;
    IF new_id IS NULL THEN
        RETURN vulkan.stream_id(stream);
    END IF;
    EXECUTE format('CREATE TABLE vulkan.%I (LIKE vulkan.events INCLUDING ALL) PARTITION BY RANGE ("offset")',
        format('events_%s', new_id));
    PERFORM vulkan.open_to_loads(new_id);
    PERFORM vulkan.ensure_partitions(new_id,
        (SELECT q.last_value / 1000000000 + m.slots_ahead FROM vulkan.offset_seq q, vulkan.meta m));
    EXECUTE format('ALTER TABLE vulkan.events ATTACH PARTITION vulkan.%I FOR VALUES IN (%s)',
        format('events_%s', new_id), new_id);
    RETURN new_id;
END $$;
COMMENT ON FUNCTION vulkan.create_stream(text, integer) IS 'Makes a stream with its partitions, or finds the one of that name. Returns its id. Concurrent calls are safe.';

CREATE FUNCTION vulkan.roll_slot() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    next_slot bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1459617793, 0);
    -- Read under the latch: two rollers on one reading would set the sequence back. So would publishers
    -- that reach the next slot by themselves meanwhile: when it is near, the one after it is taken.
    SELECT (last_value + 100000000) / 1000000000 + 1 INTO next_slot FROM vulkan.offset_seq;
    PERFORM vulkan.ensure_partitions(s.stream_id, next_slot + m.slots_ahead)
    FROM vulkan.streams s, vulkan.meta m;
    PERFORM setval('vulkan.offset_seq', next_slot * 1000000000, true);
    -- After the setval: an event of the slot before can then never be newer than this time.
    INSERT INTO vulkan.slots VALUES (next_slot, clock_timestamp());
    RETURN next_slot;
END $$;
COMMENT ON FUNCTION vulkan.roll_slot() IS 'Begins the next slot of the log now, its partitions and those ahead made first. Returns the new slot. Publishers are never stopped by it.';

CREATE FUNCTION vulkan.maintain()
RETURNS TABLE (partitions_made integer, slot_rolled bigint, dedup_expired integer)
LANGUAGE plpgsql AS $$
DECLARE
    stream  record;
    current bigint;
    settings vulkan.meta;
BEGIN
    partitions_made := 0;
    dedup_expired := 0;
    -- Somebody else is at it: nothing is owed to us, so nobody queues up.
    IF NOT pg_try_advisory_xact_lock(1459617793, 0) THEN
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT * INTO settings FROM vulkan.meta;
    SELECT last_value / 1000000000 INTO current FROM vulkan.offset_seq;
    -- The sequence can enter a slot by itself (a billion events, or a roll cut off by a crash).
    INSERT INTO vulkan.slots VALUES (current, clock_timestamp()) ON CONFLICT DO NOTHING;
    FOR stream IN SELECT s.stream_id, s.name FROM vulkan.streams s
                  WHERE EXISTS (SELECT FROM vulkan.partitions_missing(s.stream_id, current + settings.slots_ahead)) LOOP
        BEGIN
            partitions_made := partitions_made
                + vulkan.ensure_partitions(stream.stream_id, current + settings.slots_ahead);
        EXCEPTION WHEN lock_not_available THEN
            RAISE WARNING 'stream "%": the partitions ahead wait for a lock; the next round tries again', stream.name;
        END;
    END LOOP;
    IF (SELECT started_at <= clock_timestamp() - settings.slot_length FROM vulkan.slots WHERE slot = current)
       AND NOT EXISTS (SELECT FROM vulkan.streams s, vulkan.partitions_missing(s.stream_id, current + 1)) THEN
        BEGIN
            slot_rolled := vulkan.roll_slot();
        EXCEPTION WHEN lock_not_available THEN
            RAISE WARNING 'the slot could not be rolled; it lasts longer, and the next round tries again';
        END;
    END IF;
    DELETE FROM vulkan.dedup d USING (
        SELECT x.ctid FROM vulkan.dedup x WHERE x.expires_at <= clock_timestamp()
        ORDER BY x.expires_at LIMIT 10000 FOR UPDATE SKIP LOCKED) old
    WHERE d.ctid = old.ctid;
    GET DIAGNOSTICS dedup_expired = ROW_COUNT;
    DELETE FROM vulkan.ready_marks m WHERE m.valid_until < clock_timestamp();
    PERFORM vulkan.sweep_checkpoints();
    PERFORM vulkan.forget_workers();
    PERFORM vulkan.heed_cancels(g, false) FROM vulkan.groups g
    WHERE g.group_id IN (SELECT c.group_id FROM vulkan.cancel_requests c WHERE c.requested_at < clock_timestamp() - interval '1 hour');
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION vulkan.maintain() IS 'Housekeeping of the log: partitions ahead, the slot rolled when its time has come; old dedup ids, the checkpoints of done messages, and workers and requests to stop that nobody needs any more, forgotten. Any number of callers may call it at any time; workers do so every half minute.';
