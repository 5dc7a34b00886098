-- Routing: a predicate over retained facts, evaluated when a group meets an event.

CREATE FUNCTION vulkan.kind_regex(pattern text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF pattern IS NULL OR length(pattern) > 256
       OR pattern !~ '^(>|([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*(\.>)?)$' THEN
        RAISE EXCEPTION 'kind pattern % is not valid', coalesce(quote_literal(left(pattern, 300)), 'NULL')
            USING ERRCODE = 'VK003', HINT = 'Use dotted segments; "*" stands for one segment, ">" for the rest: order.*.created, order.>';
    END IF;
    RETURN replace(replace(replace(pattern, '.', '\.'), '*', '[^.]+'), '>', '.+');
END $$;
COMMENT ON FUNCTION vulkan.kind_regex(text) IS 'A kind pattern as a regular expression, not anchored. Raises VK003 on a bad pattern.';

CREATE FUNCTION vulkan.matches(kind text, headers jsonb, binding vulkan.bindings) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT (binding).everything
        OR coalesce(kind ~ (binding).kind_regex, false)
        OR ((binding).header_rules IS NOT NULL AND EXISTS (
            SELECT FROM jsonb_array_elements((binding).header_rules) r
            WHERE kind ~ (r.value ->> 'regex') AND headers @> (r.value -> 'headers')))
$$;
COMMENT ON FUNCTION vulkan.matches(text, jsonb, vulkan.bindings) IS 'Whether an event of this kind with these headers is a message under the binding.';

CREATE FUNCTION vulkan.binding_at(group_id integer, event_offset bigint) RETURNS vulkan.bindings
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT b FROM vulkan.bindings b
            WHERE b.group_id = binding_at.group_id AND b.from_offset < event_offset
            ORDER BY b.from_offset DESC LIMIT 1);
END $$;
COMMENT ON FUNCTION vulkan.binding_at(integer, bigint) IS 'The binding that holds for the event at an offset.';

CREATE FUNCTION vulkan.is_message(group_id integer, event_offset bigint, kind text, headers jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT vulkan.matches(kind, headers, vulkan.binding_at(group_id, event_offset))
$$;
COMMENT ON FUNCTION vulkan.is_message(integer, bigint, text, jsonb) IS 'Whether an event is a message of a group, under the binding that holds at its offset.';

CREATE FUNCTION vulkan.bind_from(group_id integer, from_offset bigint, rules jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_typeof(rules) IS DISTINCT FROM 'array' OR jsonb_array_length(rules) = 0 THEN
        RAISE EXCEPTION 'a binding needs at least one rule'
            USING ERRCODE = 'VK003', HINT = 'Give a JSON array: [{"kind": "order.>"}, {"kind": ">", "headers": {"region": "eu"}}]';
    END IF;
    DELETE FROM vulkan.bindings b WHERE b.group_id = bind_from.group_id AND b.from_offset >= bind_from.from_offset;
    INSERT INTO vulkan.bindings SELECT (vulkan.compile_binding(group_id, from_offset, rules)).*;
    UPDATE vulkan.groups g SET unfiltered = NOT EXISTS (
        SELECT FROM vulkan.bindings b WHERE b.group_id = bind_from.group_id AND NOT b.everything)
    WHERE g.group_id = bind_from.group_id;
END $$;
COMMENT ON FUNCTION vulkan.bind_from(integer, bigint, jsonb) IS 'Internal. Makes the rules hold for the events above an offset; the caller holds the group''s latch.';

CREATE FUNCTION vulkan.compile_binding(group_id integer, from_offset bigint, rules jsonb) RETURNS vulkan.bindings
LANGUAGE sql STABLE AS $$
    SELECT ROW(
        group_id, from_offset,
        coalesce(bool_or(r.plain AND r.pattern = '>'), false),
        '^(' || string_agg(r.regex, '|') FILTER (WHERE r.plain) || ')$',
        jsonb_agg(jsonb_build_object('regex', '^' || r.regex || '$', 'headers', r.headers)) FILTER (WHERE NOT r.plain),
        rules, clock_timestamp())::vulkan.bindings
    FROM (SELECT e.value ->> 'kind' AS pattern, vulkan.kind_regex(e.value ->> 'kind') AS regex,
                 coalesce(e.value -> 'headers', 'null') IN ('null', '{}') AS plain, e.value -> 'headers' AS headers
          FROM jsonb_array_elements(rules) e) r
$$;
COMMENT ON FUNCTION vulkan.compile_binding(integer, bigint, jsonb) IS 'Internal. A binding from its rules.';

CREATE FUNCTION vulkan.set_binding(stream text, consumer_group text, rules jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    bound_group CONSTANT integer := vulkan.group_id(stream, consumer_group);
    cursor      bigint;
    standing    jsonb;
BEGIN
    PERFORM vulkan.latch(bound_group);
    cursor := vulkan.cursor_of(bound_group);
    SELECT b.rules INTO standing FROM vulkan.bindings b
    WHERE b.group_id = bound_group ORDER BY b.from_offset DESC LIMIT 1;
    IF standing = set_binding.rules THEN
        RETURN false;
    END IF;
    PERFORM vulkan.bind_from(bound_group, cursor, rules);
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.set_binding(text, text, jsonb) IS 'Binds a group anew from its cursor on: rules is an array of {"kind": pattern, "headers": object to contain}. For what lies before the cursor, replay. Returns whether anything changed.';

-- The sequence is never behind an offset that anybody was told: a commit, and a claim, take its record in the WAL with them.
CREATE FUNCTION vulkan.check_position(at bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    newest CONSTANT bigint := (SELECT q.last_value FROM vulkan.offset_seq q);
BEGIN
    IF at > newest THEN
        RAISE EXCEPTION 'position % lies beyond the newest offset there ever was, %', at, newest
            USING ERRCODE = 'VK010', HINT = 'The log is that of an earlier time: a standby that lagged has taken over, or a backup was restored. Read on from a position of before that, such as a time; for the end of the log, "latest".';
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.check_position(bigint) IS 'Internal. Raises VK010 for a position that nobody can have read up to.';

CREATE FUNCTION vulkan.resolve_position(
    stream text, to_offset bigint DEFAULT NULL, to_time timestamptz DEFAULT NULL,
    to_position text DEFAULT NULL, to_group text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    of_stream CONSTANT integer := vulkan.stream_id(stream);
    top       bigint;
    found     bigint;
BEGIN
    IF num_nonnulls(to_offset, to_time, to_position, to_group) <> 1
       OR (to_position IS NOT NULL AND to_position NOT IN ('earliest', 'latest')) OR to_offset < 0 THEN
        RAISE EXCEPTION 'a position is exactly one of: an offset of 0 or more, a time, "earliest" or "latest", a group'
            USING ERRCODE = 'VK003', HINT = 'For example: vulkan.replay(''orders'', ''fraud'', to_position => ''earliest'')';
    END IF;
    SELECT h.lso INTO top FROM vulkan.horizon(of_stream) h;
    IF to_group IS NOT NULL THEN
        RETURN vulkan.cursor_of(vulkan.group_id(stream, to_group));
    ELSIF to_position = 'earliest' THEN
        RETURN 0;
    ELSIF to_offset IS NOT NULL THEN
        PERFORM vulkan.check_position(to_offset);
        -- Past the horizon there is nothing to be at yet, and a cursor must never be there.
        RETURN least(to_offset, top);
    ELSIF to_time IS NOT NULL THEN
        SELECT e."offset" - 1 INTO found FROM vulkan.events e
        WHERE e.stream_id = of_stream AND e."offset" <= top AND e.created_at >= to_time
          AND e."offset" >= coalesce((SELECT max(s.slot) * 1000000000 FROM vulkan.slots s WHERE s.started_at <= to_time), 0)
        ORDER BY e."offset" LIMIT 1;
        RETURN coalesce(found, top);
    END IF;
    RETURN top;
END $$;
COMMENT ON FUNCTION vulkan.resolve_position(text, bigint, timestamptz, text, text) IS 'The cursor that stands for a position: reading goes on with the first event above it. Exactly one of: to_offset (that event is taken as read), to_time (the first event published at or after it comes next), to_position (''earliest'', ''latest''), to_group (where that group is). Raises VK003 otherwise, and VK010 for an offset beyond the newest there ever was.';

CREATE FUNCTION vulkan.create_group(
    stream text, consumer_group text, mode text DEFAULT 'lifecycle', rules jsonb DEFAULT '[{"kind": ">"}]',
    max_attempts integer DEFAULT NULL, backoff_initial interval DEFAULT NULL, backoff_max interval DEFAULT NULL,
    lease interval DEFAULT NULL, on_dead text DEFAULT NULL, start_at text DEFAULT 'earliest'
) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    of_stream CONSTANT integer := vulkan.stream_id(stream);
    new_id    integer;
    start     bigint;
BEGIN
    SELECT g.group_id INTO new_id FROM vulkan.groups g WHERE g.stream_id = of_stream AND g.name = consumer_group;
    IF FOUND THEN
        RETURN new_id;
    END IF;
    IF consumer_group !~ '^[a-z0-9][a-z0-9._-]{0,127}$' THEN
        RAISE EXCEPTION 'consumer group name "%" is not valid', consumer_group
            USING ERRCODE = 'VK003', HINT = 'Use 1 to 128 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit.';
    END IF;
    INSERT INTO vulkan.groups AS g (stream_id, name, mode) VALUES (of_stream, consumer_group, create_group.mode)
    ON CONFLICT ON CONSTRAINT groups_stream_id_name_key DO NOTHING RETURNING g.group_id INTO new_id;
    IF new_id IS NULL THEN
        RETURN vulkan.group_id(stream, consumer_group);
    END IF;
    PERFORM vulkan.alter_group(stream, consumer_group, create_group.max_attempts, create_group.backoff_initial,
        create_group.backoff_max, create_group.lease, create_group.on_dead);
    start := vulkan.resolve_position(stream, to_position => start_at);
    INSERT INTO vulkan.claims (group_id, lo, hi, token, messages, origin, settled_at)
    VALUES (new_id, 0, start, 0, 0, 'seek', clock_timestamp());
    -- From -1: a binding holds above its offset, and a rewind to the very beginning must find one.
    PERFORM vulkan.bind_from(new_id, -1, rules);
    RETURN new_id;
END $$;
COMMENT ON FUNCTION vulkan.create_group(text, text, text, jsonb, integer, interval, interval, interval, text, text) IS 'Makes a consumer group, or finds the one of that name and leaves it as it is. mode: lifecycle or cursor. rules: what it binds. start_at: earliest or latest. Options left NULL take the column defaults of vulkan.groups; limits come by set_limits() and set_breaker(). Returns its id.';

CREATE FUNCTION vulkan.alter_group(
    stream text, consumer_group text,
    max_attempts integer DEFAULT NULL, backoff_initial interval DEFAULT NULL, backoff_max interval DEFAULT NULL,
    lease interval DEFAULT NULL, on_dead text DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE vulkan.groups g SET
        max_attempts = coalesce(alter_group.max_attempts, g.max_attempts),
        backoff_initial = coalesce(alter_group.backoff_initial, g.backoff_initial),
        backoff_max = coalesce(alter_group.backoff_max, g.backoff_max),
        lease = coalesce(alter_group.lease, g.lease),
        on_dead = coalesce(alter_group.on_dead, g.on_dead)
    WHERE g.group_id = vulkan.group_id(stream, consumer_group)
      AND (g.max_attempts, g.backoff_initial, g.backoff_max, g.lease, g.on_dead) IS DISTINCT FROM
          (coalesce(alter_group.max_attempts, g.max_attempts), coalesce(alter_group.backoff_initial, g.backoff_initial),
           coalesce(alter_group.backoff_max, g.backoff_max), coalesce(alter_group.lease, g.lease),
           coalesce(alter_group.on_dead, g.on_dead));
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION vulkan.alter_group(text, text, integer, interval, interval, interval, text) IS 'Changes the options given and leaves the others. Takes effect with the next attempt. Returns whether anything changed.';
