-- Publishing: announce a floor, draw an offset, append, ring if somebody sleeps.

CREATE TABLE vulkan.dedup (
    stream_id  integer NOT NULL REFERENCES vulkan.streams,
    dedup_id   text NOT NULL,
    "offset"   bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (stream_id, dedup_id)
);
CREATE INDEX dedup_expiry ON vulkan.dedup (expires_at);
COMMENT ON TABLE vulkan.dedup IS 'The dedup ids published within their window, and the offset each one got first.';

-- The advisory lock (class, key) of a publisher's floor: 8 bits that mark it as ours, 16 bits of
-- stream, then the low 40 bits of the floor. 40 bits are 1,099 slots: no transaction lives half
-- as long, while 32 bits would wrap after four.
-- Assignments where others would write SELECT and PERFORM: an expression costs a tenth of a statement, and every publish
-- pays for it.
CREATE FUNCTION vulkan.announce(stream_id integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    setting  CONSTANT text := 'vulkan.floor_' || stream_id;
    floor    bigint := pg_sequence_last_value('vulkan.offset_seq');
    standing text := current_setting(setting, true);
    held     boolean;
BEGIN
    IF floor IS NULL THEN
        RAISE EXCEPTION 'role "%" may not read the sequence vulkan.offset_seq', current_user
            USING ERRCODE = 'insufficient_privilege', HINT = 'Publishers need USAGE on it: without the newest offset nothing can be announced.';
    END IF;
    -- One floor per transaction and stream, or a transaction that publishes much would fill the lock table. Anybody can set
    -- a setting, so it says which floor, and not whether it is held: to lock it again costs next to nothing, and a
    -- lower floor than the present one does no harm. A rolled-back savepoint takes lock and setting with it.
    IF standing <> '' AND standing ~ '^[0-9]{1,18}$' THEN
        floor := least(floor, standing::bigint);
    END IF;
    held := pg_advisory_xact_lock_shared(
        1442840576 + (stream_id << 8) + ((floor >> 32) & 255)::integer,
        ((floor & 4294967295) - CASE WHEN floor & 2147483648 = 0 THEN 0 ELSE 4294967296 END)::integer) IS NOT NULL;
    RETURN held AND set_config(setting, floor::text, true) IS NOT NULL;
END $$;
COMMENT ON FUNCTION vulkan.announce(integer) IS 'Internal. Announces, until the transaction ends, that it may still write offsets above the present one to this stream. Must come before the offset is drawn. True, always.';

-- A sleeper holds the bell's lock exclusively. Try and unlock stand in one expression with no
-- interrupt check between them, so a cancelled publisher cannot keep it.
CREATE FUNCTION vulkan.ring(stream_id integer) RETURNS boolean
LANGUAGE sql AS $$
    SELECT CASE
        WHEN pg_try_advisory_lock_shared(1459617794, stream_id)
            THEN NOT pg_advisory_unlock_shared(1459617794, stream_id)
        WHEN pg_notification_queue_usage() < 0.5
            THEN pg_notify('vulkan', stream_id::text) IS NOT NULL
        ELSE false
    END
$$;
COMMENT ON FUNCTION vulkan.ring(integer) IS 'Internal. Notifies channel "vulkan" on commit if somebody sleeps on the stream (sleepers hold the bell: the exclusive advisory lock (1459617794, stream id)). Under load nobody sleeps and nothing is sent; a notification queue that fills up is left alone, since a full one would abort the publisher. Returns whether it rang.';

-- What an event may be. Whoever appends asks check_event() only of what could break a rule: nearly everything passes by its
-- stored size alone, which costs a publish next to nothing. (#> '{}' is all of it, decompressed.)
CREATE FUNCTION vulkan.check_kind(kind text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF kind IS NULL OR length(kind) > 256 OR kind !~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$' THEN
        RAISE EXCEPTION 'event kind % is not valid', coalesce(quote_literal(left(kind, 300)), 'NULL')
            USING ERRCODE = 'VK003', HINT = 'Use up to 256 characters: segments of A-Z, a-z, 0-9, "_" and "-", joined by dots.';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.check_kind(text) IS 'True if the text can be the kind of an event; else raises VK003.';

CREATE FUNCTION vulkan.check_key(partition_key text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF octet_length(partition_key) > 1024 THEN
        RAISE EXCEPTION 'a partition key of % bytes is too long: it may have 1024', octet_length(partition_key)
            USING ERRCODE = 'VK003', HINT = 'Use a shorter one, or a hash of it.';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.check_key(text) IS 'True if the text can be a partition key: it has up to 1,024 bytes; else raises VK003.';

CREATE FUNCTION vulkan.is_deep(document jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_path_exists(document, 'strict $.**{127} ? (@.type() == "array" || @.type() == "object")')
$$;
COMMENT ON FUNCTION vulkan.is_deep(jsonb) IS 'Internal. Whether more than 127 arrays and objects stand one within the other: few parsers read that.';

CREATE FUNCTION vulkan.check_payload(payload jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    stored CONSTANT integer := pg_column_size(payload #> '{}');
    most   integer;
BEGIN
    -- No limit is lower.
    IF stored > 65536 THEN
        most := (SELECT m.max_payload FROM vulkan.meta m);
        IF stored > most AND octet_length(payload::text) > most THEN
            RAISE EXCEPTION 'a payload of % bytes is too large: it may have %', least(stored, octet_length(payload::text)), most
                USING ERRCODE = 'VK003', HINT = 'Store it elsewhere, and publish where it is; or raise vulkan.meta.max_payload.';
        END IF;
    END IF;
    IF vulkan.is_deep(payload) THEN
        RAISE EXCEPTION 'a payload is nested too deeply: more than 127 arrays and objects stand one within the other'
            USING ERRCODE = 'VK003', HINT = 'Publish JSON that is nested less deeply.';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.check_payload(jsonb) IS 'True if the document can be the payload of an event: it has no more than vulkan.meta.max_payload bytes, and no more than 127 arrays and objects one within the other; else raises VK003.';

CREATE FUNCTION vulkan.check_headers(headers jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF jsonb_typeof(headers) <> 'object' THEN
        RAISE EXCEPTION 'headers are an object, and not a JSON %', jsonb_typeof(headers)
            USING ERRCODE = 'VK003', HINT = 'For example: ''{"region": "eu"}'', or NULL.';
    ELSIF (SELECT count(*) FROM jsonb_object_keys(headers)) > 64 THEN
        RAISE EXCEPTION 'an event has % headers, more than 64', (SELECT count(*) FROM jsonb_object_keys(headers))
            USING ERRCODE = 'VK003', HINT = 'Put into the payload what is no header.';
    ELSIF pg_column_size(headers #> '{}') > 16384 AND octet_length(headers::text) > 16384 THEN
        RAISE EXCEPTION 'headers of % bytes are too large: they may have 16384', least(pg_column_size(headers #> '{}'), octet_length(headers::text))
            USING ERRCODE = 'VK003', HINT = 'Put into the payload what is no header.';
    ELSIF vulkan.is_deep(headers) THEN
        RAISE EXCEPTION 'headers are nested too deeply: more than 127 arrays and objects stand one within the other'
            USING ERRCODE = 'VK003', HINT = 'Publish JSON that is nested less deeply.';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.check_headers(jsonb) IS 'True if the document can be the headers of an event: an object of up to 64 entries and 16 KiB; else raises VK003.';

CREATE FUNCTION vulkan.check_time(deliver_at timestamptz) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF deliver_at NOT BETWEEN '0001-01-01Z' AND '9999-12-31Z' THEN
        RAISE EXCEPTION 'nothing can be delivered at %', deliver_at
            USING ERRCODE = 'VK003', HINT = 'Give a time between the years 1 and 9999, or NULL for at once.';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.check_time(timestamptz) IS 'True if something can be due at that time: the years 1 to 9999, with which every language can reckon; else raises VK003.';

CREATE FUNCTION vulkan.check_event(payload jsonb, headers jsonb, partition_key text, deliver_at timestamptz DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce(vulkan.check_payload(payload), true) AND coalesce(vulkan.check_headers(headers), true)
        AND coalesce(vulkan.check_key(partition_key), true) AND coalesce(vulkan.check_time(deliver_at), true);
END $$;
COMMENT ON FUNCTION vulkan.check_event(jsonb, jsonb, text, timestamptz) IS 'True if these can be the payload, headers, partition key and time of delivery of an event: see check_payload(), check_headers(), check_key() and check_time(). Else raises VK003.';

CREATE FUNCTION vulkan.check_dedup(dedup_id text, dedup_window interval) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF octet_length(dedup_id) > 512 THEN
        RAISE EXCEPTION 'the dedup id %… has % bytes, more than 512', left(dedup_id, 40), octet_length(dedup_id)
            USING ERRCODE = 'VK003', HINT = 'Use a shorter one, or a hash of it.';
    END IF;
    IF dedup_window <= interval '0' THEN
        RAISE EXCEPTION 'the dedup window % is not above zero', dedup_window
            USING ERRCODE = 'VK003', HINT = 'Give a window above zero, or leave it NULL for that of vulkan.meta.';
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.check_dedup(text, interval) IS 'Raises VK003 unless the text, of up to 512 bytes, can be a dedup id, and the interval its window.';

CREATE FUNCTION vulkan.publish_once(
    stream text, kind text, payload jsonb, dedup_id text, dedup_window interval DEFAULT NULL,
    partition_key text DEFAULT NULL, headers jsonb DEFAULT NULL, deliver_at timestamptz DEFAULT NULL,
    OUT "offset" bigint, OUT duplicate boolean
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    to_stream CONSTANT integer := vulkan.stream_id(stream);
BEGIN
    PERFORM vulkan.check_kind(kind);
    PERFORM vulkan.check_event(payload, headers, partition_key, deliver_at);
    PERFORM vulkan.check_dedup(dedup_id, dedup_window);
    PERFORM vulkan.announce(to_stream);
    publish_once."offset" := nextval('vulkan.offset_seq');
    duplicate := false;
    IF dedup_id IS NOT NULL THEN
        INSERT INTO vulkan.dedup AS d (stream_id, dedup_id, "offset", expires_at)
        VALUES (to_stream, publish_once.dedup_id, publish_once."offset",
                clock_timestamp() + coalesce(publish_once.dedup_window, (SELECT m.dedup_window FROM vulkan.meta m)))
        ON CONFLICT ON CONSTRAINT dedup_pkey DO UPDATE
            SET "offset" = EXCLUDED."offset", expires_at = EXCLUDED.expires_at
            WHERE d.expires_at <= clock_timestamp();
        IF NOT FOUND THEN
            -- The conflict has locked the row, though it left it as it is: however soon the id expires, nobody
            -- deletes it before this transaction ends.
            SELECT d."offset" INTO STRICT publish_once."offset" FROM vulkan.dedup d
            WHERE d.stream_id = to_stream AND d.dedup_id = publish_once.dedup_id;
            duplicate := true;
            RETURN;
        END IF;
    END IF;
    INSERT INTO vulkan.events ("offset", deliver_at, stream_id, kind, partition_key, payload, headers)
    VALUES (publish_once."offset", publish_once.deliver_at, to_stream, publish_once.kind, publish_once.partition_key,
            publish_once.payload, publish_once.headers);
    PERFORM vulkan.ring(to_stream);
END $$;
COMMENT ON FUNCTION vulkan.publish_once(text, text, jsonb, text, interval, text, jsonb, timestamptz) IS 'Appends one event unless its dedup_id was published to the stream before, within that event''s window (dedup_window, or that of vulkan.meta). Returns the offset that the id got first, and whether that was an earlier publish (duplicate), in which case nothing is appended. Raises VK001 (no such stream), VK003 (bad kind, dedup id or window, or too much of something).';

CREATE FUNCTION vulkan.publish(
    stream text, kind text, payload jsonb,
    partition_key text DEFAULT NULL, headers jsonb DEFAULT NULL,
    deliver_at timestamptz DEFAULT NULL, dedup_id text DEFAULT NULL, dedup_window interval DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    to_stream integer;
    drawn     bigint;
    done      boolean;
BEGIN
    IF dedup_id IS NOT NULL THEN
        RETURN (SELECT p."offset" FROM vulkan.publish_once(publish.stream, publish.kind, publish.payload, publish.dedup_id,
            publish.dedup_window, publish.partition_key, publish.headers, publish.deliver_at) p);
    END IF;
    to_stream := vulkan.stream_id(stream);
    done := vulkan.check_kind(kind)
        AND ((pg_column_size(payload #> '{}') > 1000 OR octet_length(partition_key) > 1024
             OR jsonb_typeof(headers) <> 'object' OR pg_column_size(headers #> '{}') > 500
             OR deliver_at NOT BETWEEN '0001-01-01Z' AND '9999-12-31Z') IS NOT TRUE
            OR vulkan.check_event(payload, headers, partition_key, deliver_at))
        AND vulkan.announce(to_stream);
    drawn := nextval('vulkan.offset_seq');
    INSERT INTO vulkan.events ("offset", deliver_at, stream_id, kind, partition_key, payload, headers)
    VALUES (drawn, publish.deliver_at, to_stream, publish.kind, publish.partition_key, publish.payload, publish.headers);
    done := vulkan.ring(to_stream);
    RETURN drawn;
END $$;
COMMENT ON FUNCTION vulkan.publish(text, text, jsonb, text, jsonb, timestamptz, text, interval) IS 'Appends one event to a stream, in the caller''s transaction: it commits or vanishes with it. Returns its offset. With a dedup_id it is publish_once(), which also says whether the event was a duplicate. Raises VK001 (no such stream), VK003 (bad kind, dedup id or window, or too much of something).';

CREATE FUNCTION vulkan.publish_many(
    stream text, kinds text[], payloads jsonb[],
    partition_keys text[] DEFAULT NULL, headers jsonb[] DEFAULT NULL,
    deliver_ats timestamptz[] DEFAULT NULL, dedup_ids text[] DEFAULT NULL, dedup_windows interval[] DEFAULT NULL
) RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
DECLARE
    to_stream CONSTANT integer := vulkan.stream_id(stream);
    many      CONSTANT integer := cardinality(payloads);
BEGIN
    IF many IS DISTINCT FROM cardinality(kinds)
       OR many <> coalesce(cardinality(partition_keys), many) OR many <> coalesce(cardinality(headers), many)
       OR many <> coalesce(cardinality(deliver_ats), many) OR many <> coalesce(cardinality(dedup_ids), many)
       OR many <> coalesce(cardinality(dedup_windows), many) THEN
        RAISE EXCEPTION 'the arrays of publish_many differ in length'
            USING ERRCODE = 'VK003', HINT = 'Give every array one element per event, or leave an optional one NULL.';
    END IF;
    -- One event alone may have what its payload may.
    IF many > 1 AND pg_column_size(payloads) + coalesce(pg_column_size(publish_many.headers), 0) > 16777216
       AND (SELECT sum(octet_length(u.payload::text) + coalesce(octet_length(u.headers::text), 0))
            FROM unnest(payloads, publish_many.headers) AS u(payload, headers)) > 16777216 THEN
        RAISE EXCEPTION 'a batch of % events is too large: it may have 16777216 bytes of payload and headers', many
            USING ERRCODE = 'VK003', HINT = 'Publish several batches, or load them by COPY: see vulkan.events_of().';
    END IF;
    PERFORM vulkan.check_kind(k.kind) FROM (SELECT DISTINCT u.kind FROM unnest(kinds) AS u(kind)) k;
    PERFORM vulkan.announce(to_stream);
    IF dedup_ids IS NULL THEN
        RETURN QUERY
        INSERT INTO vulkan.events ("offset", deliver_at, stream_id, kind, partition_key, payload, headers)
        SELECT nextval('vulkan.offset_seq'), u.deliver_at, to_stream, u.kind, u.partition_key, u.payload, u.headers
        FROM unnest(kinds, payloads, partition_keys, publish_many.headers, deliver_ats)
            AS u(kind, payload, partition_key, headers, deliver_at)
        WHERE (pg_column_size(u.payload #> '{}') > 1000 OR octet_length(u.partition_key) > 1024
             OR jsonb_typeof(u.headers) <> 'object' OR pg_column_size(u.headers #> '{}') > 500
             OR u.deliver_at NOT BETWEEN '0001-01-01Z' AND '9999-12-31Z') IS NOT TRUE
            OR vulkan.check_event(u.payload, u.headers, u.partition_key, u.deliver_at)
        RETURNING events."offset";
    ELSE
        RETURN QUERY SELECT vulkan.publish_many_once(to_stream, kinds, payloads, partition_keys, publish_many.headers, deliver_ats, dedup_ids, dedup_windows);
    END IF;
    PERFORM vulkan.ring(to_stream);
END $$;
COMMENT ON FUNCTION vulkan.publish_many(text, text[], jsonb[], text[], jsonb[], timestamptz[], text[], interval[]) IS 'Appends many events in one statement, in array order; returns their offsets in the same order. A batch has up to 16 MiB of payload and headers. Otherwise as publish().';

CREATE FUNCTION vulkan.publish_many_once(
    to_stream integer, kinds text[], payloads jsonb[], partition_keys text[],
    headers jsonb[], deliver_ats timestamptz[], dedup_ids text[], dedup_windows interval[]
) RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
DECLARE
    at     CONSTANT timestamptz := clock_timestamp();
    usual  CONSTANT interval := (SELECT m.dedup_window FROM vulkan.meta m);
    drawn  bigint[];
BEGIN
    PERFORM vulkan.check_dedup(u.id, u.dedup_window) FROM unnest(dedup_ids, dedup_windows) AS u(id, dedup_window);
    SELECT array_agg(nextval('vulkan.offset_seq')) INTO drawn FROM unnest(payloads);
    -- In the order of the ids, so that two batches with the same ids cannot deadlock.
    INSERT INTO vulkan.dedup AS d (stream_id, dedup_id, "offset", expires_at)
    SELECT DISTINCT ON (u.id) to_stream, u.id, u.o, at + coalesce(u.dedup_window, usual)
    FROM unnest(dedup_ids, drawn, dedup_windows) AS u(id, o, dedup_window) WHERE u.id IS NOT NULL
    ORDER BY u.id, u.o
    ON CONFLICT ON CONSTRAINT dedup_pkey DO UPDATE
        SET "offset" = EXCLUDED."offset", expires_at = EXCLUDED.expires_at
        WHERE d.expires_at <= clock_timestamp();
    RETURN QUERY
    WITH message AS (
        SELECT u.*, coalesce(d."offset", u.o) AS stands_at
        FROM unnest(kinds, payloads, partition_keys, publish_many_once.headers, deliver_ats, dedup_ids, drawn)
            WITH ORDINALITY AS u(kind, payload, partition_key, headers, deliver_at, id, o, nth)
        LEFT JOIN vulkan.dedup d ON d.stream_id = to_stream AND d.dedup_id = u.id
    ), appended AS (
        INSERT INTO vulkan.events ("offset", deliver_at, stream_id, kind, partition_key, payload, headers)
        SELECT m.o, m.deliver_at, to_stream, m.kind, m.partition_key, m.payload, m.headers
        FROM message m
        WHERE m.stands_at = m.o
          AND ((pg_column_size(m.payload #> '{}') > 1000 OR octet_length(m.partition_key) > 1024
             OR jsonb_typeof(m.headers) <> 'object' OR pg_column_size(m.headers #> '{}') > 500
             OR m.deliver_at NOT BETWEEN '0001-01-01Z' AND '9999-12-31Z') IS NOT TRUE
            OR vulkan.check_event(m.payload, m.headers, m.partition_key, m.deliver_at))
        ORDER BY m.o
    )
    SELECT m.stands_at FROM message m ORDER BY m.nth;
END $$;
COMMENT ON FUNCTION vulkan.publish_many_once(integer, text[], jsonb[], text[], jsonb[], timestamptz[], text[], interval[]) IS 'Internal. publish_many() for batches with dedup ids; within one batch the first of an id wins.';

-- Loads: COPY, or INSERT .. SELECT, straight into the table of one stream. Triggers of a statement belong to
-- the table that it names: these cost a publish nothing, which names vulkan.events, and a load once a statement.
-- Row triggers, or a default with a volatile function other than nextval(), would take COPY its batches.
-- By the index, whatever is believed of a partition that is just being filled: what is loaded lies at its end.
CREATE FUNCTION vulkan.loading() RETURNS trigger
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    to_stream CONSTANT integer := TG_ARGV[0];
    setting   CONSTANT text := 'vulkan.loading_' || to_stream;
    before    bigint;
BEGIN
    IF TG_WHEN = 'BEFORE' THEN
        -- The statement has drawn no offset yet. A load within a load leaves the outer's beginning as it is.
        PERFORM vulkan.announce(to_stream);
        IF coalesce(current_setting(setting, true), '') = '' THEN
            PERFORM set_config(setting, pg_sequence_last_value('vulkan.offset_seq')::text, true);
        END IF;
    ELSE
        -- Looked at when all are there: what looks at each row as it comes would take COPY its batches. That others append
        -- meanwhile does no harm: what they have committed is sound. Who sets the setting in between gets around this:
        -- it is for mistakes, and no fence. An inner load has taken it away for the outer, which begins at its floor then.
        before := coalesce(nullif(current_setting(setting, true), ''), current_setting('vulkan.floor_' || to_stream))::bigint;
        PERFORM vulkan.check_kind(e.kind) FROM vulkan.events e
        WHERE e.stream_id = to_stream AND e."offset" > before AND octet_length(e.kind) > 256;
        PERFORM vulkan.check_event(e.payload, e.headers, e.partition_key, e.deliver_at) FROM vulkan.events e
        WHERE e.stream_id = to_stream AND e."offset" > before
          AND (pg_column_size(e.payload #> '{}') > 1000 OR octet_length(e.partition_key) > 1024
               OR jsonb_typeof(e.headers) <> 'object' OR pg_column_size(e.headers #> '{}') > 500
               OR e.deliver_at NOT BETWEEN '0001-01-01Z' AND '9999-12-31Z');
        PERFORM set_config(setting, '', true);
        -- Not before the rows: who falls asleep during a long load is to be woken, too.
        PERFORM vulkan.ring(to_stream);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION vulkan.loading() IS 'Internal. Announces a load before its first row; looks after its last whether all of them are within the limits, and rings.';

CREATE FUNCTION vulkan.open_to_loads(stream_id integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    events CONSTANT text := format('events_%s', stream_id);
    moment text;
BEGIN
    -- On this table alone: an INSERT into vulkan.events, which nothing announces, still fails for want of an offset.
    EXECUTE format('ALTER TABLE vulkan.%I ALTER "offset" SET DEFAULT nextval(''vulkan.offset_seq''), ALTER stream_id SET DEFAULT %s',
        events, stream_id);
    FOREACH moment IN ARRAY '{before, after}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER %1$I %1$s INSERT ON vulkan.%2$I FOR EACH STATEMENT EXECUTE FUNCTION vulkan.loading(%3$s)',
            moment, events, stream_id);
        -- Whatever session_replication_role is.
        EXECUTE format('ALTER TABLE vulkan.%I ENABLE ALWAYS TRIGGER %I', events, moment);
    END LOOP;
    PERFORM vulkan.grant_loads(stream_id);
END $$;
COMMENT ON FUNCTION vulkan.open_to_loads(integer) IS 'Internal. Makes the table of a stream one that can be loaded: what it fills in, and that it announces.';

CREATE FUNCTION vulkan.events_of(stream text) RETURNS regclass
LANGUAGE sql STABLE AS $$
    SELECT format('vulkan.events_%s', vulkan.stream_id(events_of.stream))::regclass
$$;
COMMENT ON FUNCTION vulkan.events_of(text) IS 'The table with the events of one stream, for loads: COPY into it, or INSERT .. SELECT, the columns kind, payload, partition_key, headers, deliver_at, or some of them with the first two; offsets come by themselves, in the order of the rows, and readers skip none. All of a statement is appended, or nothing. Readers wait for events behind it until its transaction ends: load in chunks. One statement knows the partitions that were there when it began: it ends before slots_ahead slots are over. Unlike publish(), it does not look whether each kind passes check_kind(), beyond its length, and knows no dedup ids; leave "offset", stream_id and created_at out. Raises VK001.';
