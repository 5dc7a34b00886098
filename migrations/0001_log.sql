-- The log: streams, slots and the partitioned events table.

-- IF NOT EXISTS would ask for the right to create schemas even where this one is there, made for who migrates.
DO $$
BEGIN
    IF to_regnamespace('vulkan') IS NULL THEN
        CREATE SCHEMA vulkan;
    END IF;
END $$;
COMMENT ON SCHEMA vulkan IS 'Vulkan: an append-only log and a per-group message lifecycle. Every function here is public API unless its comment says internal.';

CREATE TABLE vulkan.meta (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema_version integer NOT NULL,
    min_compatible integer NOT NULL,
    slot_length    interval NOT NULL DEFAULT '1 hour' CHECK (slot_length > interval '0'),
    slots_ahead    integer NOT NULL DEFAULT 4 CHECK (slots_ahead BETWEEN 1 AND 1000),
    dedup_window   interval NOT NULL DEFAULT '1 hour' CHECK (dedup_window > interval '0'),
    max_payload    integer NOT NULL DEFAULT 1048576 CHECK (max_payload BETWEEN 65536 AND 67108864),
    role_prefix    text
);
COMMENT ON TABLE vulkan.meta IS 'One row: the version of this schema, and the settings of the log.';
COMMENT ON COLUMN vulkan.meta.schema_version IS 'The newest migration applied; each migration that changes what a client sees raises it.';
COMMENT ON COLUMN vulkan.meta.min_compatible IS 'The oldest client schema version that may still work with this schema.';
COMMENT ON COLUMN vulkan.meta.slot_length IS 'How long a slot of the log lasts before maintain() rolls to the next one.';
COMMENT ON COLUMN vulkan.meta.slots_ahead IS 'How many slots ahead of the current one have their partitions already.';
COMMENT ON COLUMN vulkan.meta.dedup_window IS 'How long a dedup_id is remembered that was published without a window of its own.';
COMMENT ON COLUMN vulkan.meta.max_payload IS 'The most bytes that the payload of an event may have, 64 KiB to 64 MiB: as Postgres writes it, or as it stores it, whichever are fewer.';
COMMENT ON COLUMN vulkan.meta.role_prefix IS 'What the names of the roles of this database begin with. NULL: it has none; see create_roles().';
-- The version is set by the last migration: a client must not take part of a schema for the whole.
INSERT INTO vulkan.meta (schema_version, min_compatible) VALUES (0, 0);

CREATE TABLE vulkan.streams (
    stream_id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (stream_id BETWEEN 1 AND 65535),
    name                text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,127}$'),
    slots_per_partition integer NOT NULL DEFAULT 24 CHECK (slots_per_partition BETWEEN 1 AND 10000),
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE vulkan.streams IS 'The named streams of the log.';
COMMENT ON COLUMN vulkan.streams.slots_per_partition IS 'How many slots one partition of this stream spans: a whole number.';

-- CACHE 1 is load-bearing: a session that cached offsets could hand out one
-- below the floor it announced. MINVALUE 0 lets slot 0 begin at offset 1.
CREATE SEQUENCE vulkan.offset_seq AS bigint MINVALUE 0 START 0 CACHE 1;
COMMENT ON SEQUENCE vulkan.offset_seq IS 'The one source of offsets. An offset is slot * 10^9 + n; gaps are normal.';
SELECT setval('vulkan.offset_seq', 0, true);

CREATE TABLE vulkan.slots (
    slot       bigint PRIMARY KEY,
    started_at timestamptz NOT NULL
);
COMMENT ON TABLE vulkan.slots IS 'When each slot of the log began: slot s holds the offsets from s * 10^9 up to (s + 1) * 10^9.';
INSERT INTO vulkan.slots VALUES (0, clock_timestamp());

-- What an event may be. Domains say it, since they are asked wherever a row comes from, loads included, and their
-- conditions, unlike those of a table, are not read anew by each statement. Nearly everything passes by its stored
-- size: nothing of so few bytes can break a rule. (#> '{}' is all of it, decompressed.)
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

CREATE DOMAIN vulkan.event_kind AS text CHECK (octet_length(VALUE) <= 256 OR vulkan.check_kind(VALUE));
COMMENT ON DOMAIN vulkan.event_kind IS 'The kind of an event, which publish() looks at closer: see check_kind().';
CREATE DOMAIN vulkan.event_key AS text CHECK (octet_length(VALUE) <= 1024 OR vulkan.check_key(VALUE));
COMMENT ON DOMAIN vulkan.event_key IS 'A partition key: see check_key().';
CREATE DOMAIN vulkan.event_payload AS jsonb CHECK (pg_column_size(VALUE #> '{}') <= 1000 OR vulkan.check_payload(VALUE));
COMMENT ON DOMAIN vulkan.event_payload IS 'The payload of an event: see check_payload().';
CREATE DOMAIN vulkan.event_headers AS jsonb
    CHECK ((jsonb_typeof(VALUE) = 'object' AND pg_column_size(VALUE #> '{}') <= 500) OR vulkan.check_headers(VALUE));
COMMENT ON DOMAIN vulkan.event_headers IS 'The headers of an event: see check_headers().';

-- Fixed-width columns first: no padding between them.
CREATE TABLE vulkan.events (
    "offset"      bigint NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT statement_timestamp(),
    deliver_at    timestamptz,
    stream_id     integer NOT NULL,
    kind          vulkan.event_kind NOT NULL,
    partition_key vulkan.event_key,
    payload       vulkan.event_payload NOT NULL,
    headers       vulkan.event_headers,
    PRIMARY KEY ("offset", stream_id)
) PARTITION BY LIST (stream_id);
CREATE INDEX events_key ON vulkan.events (hashtextextended(partition_key, 0), "offset")
    WHERE partition_key IS NOT NULL;
COMMENT ON TABLE vulkan.events IS 'The log: immutable, append-only, ordered by "offset". Partitioned by stream, then by range of offsets. Publish through vulkan.publish(), load by COPY into vulkan.events_of(stream). A plain INSERT into this table or into a leaf is not announced to readers and can be skipped by them.';
COMMENT ON COLUMN vulkan.events."offset" IS 'Unique across streams and growing; gaps mean nothing.';
COMMENT ON COLUMN vulkan.events.created_at IS 'When the publishing statement began, by the database''s clock.';
COMMENT ON COLUMN vulkan.events.deliver_at IS 'Not handed out before this time. NULL: at once.';
COMMENT ON COLUMN vulkan.events.kind IS 'What happened, dotted: groups bind patterns on it.';
COMMENT ON COLUMN vulkan.events.partition_key IS 'Messages of one key are handled one at a time, in log order, within a group. NULL: no order asked for.';
COMMENT ON COLUMN vulkan.events.headers IS 'A JSON object of headers, W3C traceparent among them.';

-- Errors. A class of our own ('VK…'), so that clients match a code and never a text.
CREATE FUNCTION vulkan.stream_id(stream text) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_id integer;
BEGIN
    SELECT s.stream_id INTO found_id FROM vulkan.streams s WHERE s.name = stream_id.stream;
    IF found_id IS NULL THEN
        RAISE EXCEPTION 'stream "%" does not exist', stream
            USING ERRCODE = 'VK001', HINT = format('Create it: SELECT vulkan.create_stream(%L)', stream);
    END IF;
    RETURN found_id;
END $$;
COMMENT ON FUNCTION vulkan.stream_id(text) IS 'The id of a stream. Raises VK001 where there is none of that name.';
