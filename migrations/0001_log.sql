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

-- Fixed-width columns first: no padding between them.
CREATE TABLE vulkan.events (
    "offset"      bigint NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT statement_timestamp(),
    deliver_at    timestamptz,
    stream_id     integer NOT NULL,
    kind          text NOT NULL,
    partition_key text,
    payload       jsonb NOT NULL,
    headers       jsonb,
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
