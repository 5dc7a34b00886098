-- Workers: who serves which groups, with which version of the program, and what is asked of them.

CREATE TABLE vulkan.workers (
    name                  text PRIMARY KEY,
    instance              text NOT NULL,
    version               text,
    library               text,
    host                  text,
    pid                   integer,
    started_at            timestamptz NOT NULL,
    seen_at               timestamptz NOT NULL,
    state                 text NOT NULL CHECK (state IN ('running', 'draining')),
    slots                 integer NOT NULL,
    slots_used            integer NOT NULL,
    group_ids             integer[] NOT NULL,
    handlers              jsonb NOT NULL,
    ignored_cancellations bigint NOT NULL,
    stuck_handlers        integer NOT NULL,
    last_error            text,
    last_error_at         timestamptz,
    drain_requested_at    timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE vulkan.workers IS 'The workers: each tells every ten seconds how it is. A row goes when its worker ends, or has not been seen for a minute; if it was asked to drain, it stays for an hour after that, lest one that hangs misses it: is_alive() tells.';
COMMENT ON COLUMN vulkan.workers.instance IS 'Tells one process of a name from the next.';
COMMENT ON COLUMN vulkan.workers.version IS 'The version of the program, as it calls itself.';
COMMENT ON COLUMN vulkan.workers.library IS 'The client library and its version.';
COMMENT ON COLUMN vulkan.workers.state IS 'running, or draining: it claims nothing more, finishes what it has, and ends.';
COMMENT ON COLUMN vulkan.workers.slots IS 'How many messages it handles at once.';
COMMENT ON COLUMN vulkan.workers.handlers IS 'Its handlers: [{"name", "stream", "group", "kinds", "options"}].';
COMMENT ON COLUMN vulkan.workers.ignored_cancellations IS 'How many handlers were told to end since it started, and did not in time.';
COMMENT ON COLUMN vulkan.workers.stuck_handlers IS 'How many handlers block their thread now: nothing can end them but the end of the process.';
COMMENT ON COLUMN vulkan.workers.last_error IS 'The last call to the database that failed, as the worker saw it.';
COMMENT ON COLUMN vulkan.workers.drain_requested_at IS 'When drain_worker() asked it to end.';

CREATE FUNCTION vulkan.is_alive(worker vulkan.workers) RETURNS boolean
LANGUAGE sql STABLE AS $$ SELECT worker.seen_at > clock_timestamp() - interval '1 minute' $$;
COMMENT ON FUNCTION vulkan.is_alive(vulkan.workers) IS 'Whether a worker has given a sign of life within the last minute.';

CREATE FUNCTION vulkan.worker_beat(
    worker text, instance text, state text DEFAULT 'running', version text DEFAULT NULL, library text DEFAULT NULL,
    host text DEFAULT NULL, pid integer DEFAULT NULL, uptime interval DEFAULT '0', slots integer DEFAULT 1, slots_used integer DEFAULT 0,
    group_ids integer[] DEFAULT '{}', handlers jsonb DEFAULT '[]', ignored_cancellations bigint DEFAULT 0, stuck_handlers integer DEFAULT 0,
    last_error text DEFAULT NULL, last_error_age interval DEFAULT NULL
) RETURNS TABLE (drain boolean, other_versions text[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    at CONSTANT timestamptz := clock_timestamp();
BEGIN
    IF octet_length(worker) > 512 OR octet_length(instance) > 512 THEN
        RAISE EXCEPTION 'a worker''s name of % bytes is too long: it may have 512, and its instance, too', greatest(octet_length(worker), octet_length(instance))
            USING ERRCODE = 'VK003', HINT = 'Use a shorter one.';
    END IF;
    -- A beat that a crash of the server loses is followed by the next.
    PERFORM set_config('synchronous_commit', 'off', true) WHERE pg_current_xact_id_if_assigned() IS NULL;
    -- What does not change is not written: the row stays small, and no index hears of it.
    UPDATE vulkan.workers w
    SET seen_at = at, state = worker_beat.state, slots_used = worker_beat.slots_used, stuck_handlers = worker_beat.stuck_handlers,
        ignored_cancellations = worker_beat.ignored_cancellations, last_error = left(worker_beat.last_error, 4096),
        last_error_at = at - worker_beat.last_error_age
    WHERE w.name = worker AND w.instance = worker_beat.instance
    RETURNING w.drain_requested_at IS NOT NULL INTO drain;
    IF NOT FOUND THEN
        -- Everybody reads these patterns.
        PERFORM vulkan.kind_regex(k.value) FROM jsonb_array_elements(worker_beat.handlers) h
        CROSS JOIN LATERAL jsonb_array_elements_text(h.value -> 'kinds') k;
        -- The first one, or one after a silence so long that the row has gone, or the next process of the name.
        INSERT INTO vulkan.workers AS w (name, instance, version, library, host, pid, started_at, seen_at, state, slots, slots_used,
            group_ids, handlers, ignored_cancellations, stuck_handlers, last_error, last_error_at)
        VALUES (worker, worker_beat.instance, worker_beat.version, worker_beat.library, worker_beat.host, worker_beat.pid, at - uptime, at,
            worker_beat.state, worker_beat.slots, worker_beat.slots_used, worker_beat.group_ids, worker_beat.handlers,
            worker_beat.ignored_cancellations, worker_beat.stuck_handlers, left(worker_beat.last_error, 4096), at - worker_beat.last_error_age)
        ON CONFLICT ON CONSTRAINT workers_pkey DO UPDATE
            SET instance = EXCLUDED.instance, version = EXCLUDED.version, library = EXCLUDED.library, host = EXCLUDED.host, pid = EXCLUDED.pid,
                started_at = EXCLUDED.started_at, seen_at = EXCLUDED.seen_at, state = EXCLUDED.state, slots = EXCLUDED.slots,
                slots_used = EXCLUDED.slots_used, group_ids = EXCLUDED.group_ids, handlers = EXCLUDED.handlers,
                ignored_cancellations = EXCLUDED.ignored_cancellations, stuck_handlers = EXCLUDED.stuck_handlers,
                last_error = EXCLUDED.last_error, last_error_at = EXCLUDED.last_error_at, drain_requested_at = NULL;
        drain := false;
    END IF;
    PERFORM vulkan.forget_workers();
    SELECT array_agg(DISTINCT coalesce(o.version, '')) INTO other_versions FROM vulkan.workers o
    WHERE o.group_ids && worker_beat.group_ids AND o.version IS DISTINCT FROM worker_beat.version AND vulkan.is_alive(o);
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION vulkan.worker_beat(text, text, text, text, text, text, integer, interval, integer, integer, integer[], jsonb, bigint, integer, text, interval) IS
'A worker''s sign of life, every ten seconds or so and when its state changes: writes its row of vulkan.workers. instance tells this process from an earlier one of the same name; group_ids are the groups it serves. Call it in a transaction of its own.
Returns whether it is asked to drain, and the other versions of the program that serve any of its groups now (an empty text: one without a version).';

CREATE FUNCTION vulkan.forget_workers() RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    forgotten integer;
BEGIN
    DELETE FROM vulkan.workers w USING (
        -- One that hangs, and is asked to drain for that, must find the request when it comes back.
        SELECT x.name FROM vulkan.workers x
        WHERE NOT vulkan.is_alive(x) AND coalesce(x.drain_requested_at < clock_timestamp() - interval '1 hour', true)
        FOR UPDATE SKIP LOCKED) old
    WHERE w.name = old.name;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;
COMMENT ON FUNCTION vulkan.forget_workers() IS 'Internal. Removes the workers that have not been seen for a minute, those asked to drain an hour after that was asked. Whoever beats or maintains does it.';

CREATE FUNCTION vulkan.worker_gone(worker text, instance text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM vulkan.workers w WHERE w.name = worker AND w.instance = worker_gone.instance;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION vulkan.worker_gone(text, text) IS 'A worker''s last word: removes its row. Returns whether it was there.';

CREATE FUNCTION vulkan.worker_orders(worker text, instance text, group_ids integer[])
RETURNS TABLE (drain boolean, group_id integer, event_offset bigint, token bigint, reason text)
LANGUAGE sql STABLE ROWS 2 AS $$
    SELECT true, NULL::integer, NULL::bigint, NULL::bigint, NULL::text
    FROM vulkan.workers w WHERE w.name = worker AND w.instance = worker_orders.instance AND w.drain_requested_at IS NOT NULL
    UNION ALL
    SELECT false, c.group_id, c."offset", c.token, c.reason
    FROM vulkan.cancel_requests c WHERE c.group_id = ANY (group_ids)
$$;
COMMENT ON FUNCTION vulkan.worker_orders(text, text, integer[]) IS 'What is asked of a worker: a row with drain set if it is to end, and a row for each message in work in these groups that was asked to stop by cancel(), whoever has it: the token tells. A worker with messages in work asks about once a second.';

CREATE FUNCTION vulkan.drain_worker(worker text) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    since timestamptz;
    served integer[];
BEGIN
    UPDATE vulkan.workers w SET drain_requested_at = coalesce(w.drain_requested_at, clock_timestamp())
    WHERE w.name = worker RETURNING w.drain_requested_at, w.group_ids INTO since, served;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no worker "%"', worker
            USING ERRCODE = 'VK009', HINT = 'Those there are: SELECT name, version, host, state, seen_at FROM vulkan.workers';
    END IF;
    -- One that sleeps asks for orders when it is woken.
    PERFORM vulkan.ring(s.stream_id) FROM (SELECT DISTINCT g.stream_id FROM vulkan.groups g WHERE g.group_id = ANY (served)) s;
    RETURN since;
END $$;
COMMENT ON FUNCTION vulkan.drain_worker(text) IS 'Asks a worker to claim nothing more, to finish what it has, and to end, as SIGTERM does. It sees that within a second while it works or somebody publishes, else with its next sign of life, within ten. Returns since when it is asked. Raises VK009 if there is no worker of that name.';

CREATE FUNCTION vulkan.drain_workers(version text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    asked integer;
BEGIN
    PERFORM vulkan.drain_worker(w.name)
    FROM (SELECT x.name FROM vulkan.workers x WHERE x.version IS NOT DISTINCT FROM drain_workers.version AND vulkan.is_alive(x) ORDER BY x.name FOR UPDATE) w;
    GET DIAGNOSTICS asked = ROW_COUNT;
    IF asked = 0 THEN
        RAISE EXCEPTION 'no worker is of version %', coalesce(quote_literal(version), 'NULL')
            USING ERRCODE = 'VK009', HINT = 'Those there are: SELECT name, version, host, state, seen_at FROM vulkan.workers';
    END IF;
    RETURN asked;
END $$;
COMMENT ON FUNCTION vulkan.drain_workers(text) IS 'drain_worker() for every worker of a version that is alive (NULL: those without one). Returns how many. Raises VK009 if there is none.';

-- Options: a group has one set of them, and programs of several versions say what it is to be.

CREATE TABLE vulkan.declarations (
    group_id    integer NOT NULL REFERENCES vulkan.groups ON DELETE CASCADE,
    version_key numeric[] NOT NULL,
    options     jsonb NOT NULL,
    version     text,
    worker      text,
    declared_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    fingerprint text NOT NULL GENERATED ALWAYS AS (md5(options::text)) STORED,
    PRIMARY KEY (group_id, fingerprint)
);
COMMENT ON TABLE vulkan.declarations IS 'What programs of the highest version so far have declared a group''s options to be. The latest one stands.';
COMMENT ON COLUMN vulkan.declarations.version_key IS 'The numbers of the version, by which versions are compared.';
COMMENT ON COLUMN vulkan.declarations.declared_at IS 'When these options were declared first: to declare the same again is not news.';

CREATE FUNCTION vulkan.taken_elsewhere(group_id integer, worker text, kind text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM vulkan.groups g
        JOIN vulkan.streams s ON s.stream_id = g.stream_id
        JOIN vulkan.workers w ON g.group_id = ANY (w.group_ids)
        CROSS JOIN LATERAL jsonb_array_elements(w.handlers) h
        WHERE g.group_id = taken_elsewhere.group_id AND w.name <> worker AND w.state = 'running' AND w.drain_requested_at IS NULL
          AND vulkan.is_alive(w)
          AND h.value ->> 'stream' = s.name AND h.value ->> 'group' = g.name
          AND (coalesce(jsonb_array_length(h.value -> 'kinds'), 0) = 0
               OR EXISTS (SELECT FROM jsonb_array_elements_text(h.value -> 'kinds') k
                          WHERE taken_elsewhere.kind ~ ('^(' || vulkan.kind_regex(k.value) || ')$'))))
    -- Who has just declared what the group binds gives its first sign of life after that.
    OR EXISTS (
        SELECT FROM vulkan.declarations d
        WHERE d.group_id = taken_elsewhere.group_id AND d.worker <> taken_elsewhere.worker
          AND d.declared_at > clock_timestamp() - interval '1 minute')
$$;
COMMENT ON FUNCTION vulkan.taken_elsewhere(integer, text, text) IS 'Whether another worker of the group that is alive has a handler for this kind, or may have, since it has just declared options for the group: a worker without one then puts the message off (outcome snooze) in place of failing it, so that a release that brings a kind can be rolled out beside the one before.';

CREATE FUNCTION vulkan.version_key(version text) RETURNS numeric[]
LANGUAGE sql IMMUTABLE AS $$
    -- 1.4 and 1.4.0 are one version.
    SELECT coalesce(string_to_array(regexp_replace(
        substring(version FROM '^v?([0-9]{1,30}(?:\.[0-9]{1,30})*)'), '(\.0+)+$', ''), '.')::numeric[], '{}')
$$;
COMMENT ON FUNCTION vulkan.version_key(text) IS 'The dotted numbers a version begins with, for comparing: 1.10.0 is above 1.9, and equal to v1.10-rc1. A text that begins otherwise, or NULL, has none and is below all others.';

CREATE FUNCTION vulkan.option_value(option text, value jsonb) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN option NOT IN ('backoff_initial', 'backoff_max', 'lease') THEN value
                WHEN jsonb_typeof(value) = 'number' THEN to_jsonb(trim_scale(value::numeric))
                ELSE to_jsonb(trim_scale(extract(epoch FROM (value #>> '{}')::interval))) END
$$;
COMMENT ON FUNCTION vulkan.option_value(text, jsonb) IS 'Internal. An option of a group in the form in which options are compared: spans of time in seconds.';

CREATE FUNCTION vulkan.options_of(group_id integer) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('max_attempts', g.max_attempts, 'on_dead', g.on_dead,
        'backoff_initial', trim_scale(extract(epoch FROM g.backoff_initial)),
        'backoff_max', trim_scale(extract(epoch FROM g.backoff_max)), 'lease', trim_scale(extract(epoch FROM g.lease)),
        'rules', (SELECT b.rules FROM vulkan.bindings b WHERE b.group_id = g.group_id ORDER BY b.from_offset DESC LIMIT 1),
        'max_in_flight', coalesce(g.max_in_flight, 0), 'max_in_flight_per_prefix', coalesce(g.max_in_flight_per_prefix, 0),
        'prefix_delimiter', g.prefix_delimiter, 'rate', coalesce(g.rate, 0), 'burst', coalesce(g.burst, 0),
        'breaker', coalesce((SELECT jsonb_build_object('failure_percent', k.failure_percent, 'min_attempts', k.min_attempts,
                'time_window', trim_scale(extract(epoch FROM k.time_window)), 'pause', trim_scale(extract(epoch FROM k.pause)),
                'max_pause', trim_scale(extract(epoch FROM k.max_pause)), 'probes', k.probes)
            FROM vulkan.breakers k WHERE k.group_id = g.group_id), '0'))
    FROM vulkan.groups g WHERE g.group_id = options_of.group_id
$$;
COMMENT ON FUNCTION vulkan.options_of(integer) IS 'The options of a group as they stand, spans of time in seconds, as declare_options() takes them.';

CREATE FUNCTION vulkan.declare_options(
    stream text, consumer_group text, options jsonb, version text DEFAULT NULL, worker text DEFAULT NULL
) RETURNS TABLE (applied boolean, stands_since timestamptz, standing_version text, differences jsonb)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    declared_id CONSTANT integer := vulkan.group_id(stream, consumer_group);
    key         CONSTANT numeric[] := vulkan.version_key(version);
    unknown     text;
    declared    jsonb;
    fresh       jsonb;
    standing    vulkan.declarations;
BEGIN
    SELECT string_agg(format('"%s"', k), ', ') INTO unknown
    FROM jsonb_object_keys(options) k
    WHERE k NOT IN ('max_attempts', 'backoff_initial', 'backoff_max', 'lease', 'on_dead', 'rules', 'max_in_flight',
                    'max_in_flight_per_prefix', 'prefix_delimiter', 'rate', 'burst', 'breaker');
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'a group has no option %', unknown
            USING ERRCODE = 'VK003', HINT = 'The options are max_attempts, backoff_initial, backoff_max, lease, on_dead, rules, max_in_flight, max_in_flight_per_prefix, prefix_delimiter, rate, burst and breaker.';
    END IF;
    SELECT coalesce(jsonb_object_agg(o.key, vulkan.option_value(o.key, o.value)), '{}') INTO declared
    FROM jsonb_each(jsonb_strip_nulls(options)) o;
    PERFORM vulkan.latch(declared_id);
    SELECT d.* INTO standing FROM vulkan.declarations d WHERE d.group_id = declared_id
    ORDER BY d.version_key DESC, d.declared_at DESC LIMIT 1;
    applied := standing.group_id IS NULL OR key > standing.version_key
        OR (key = standing.version_key
            AND NOT EXISTS (SELECT FROM vulkan.declarations d WHERE d.group_id = declared_id AND d.fingerprint = md5(declared::text)));
    IF applied THEN
        -- Only what is said anew: what an operator has changed since stays, unless the program changed it too.
        SELECT coalesce(jsonb_object_agg(o.key, o.value), '{}') INTO fresh
        FROM jsonb_each(declared) o WHERE o.value IS DISTINCT FROM standing.options -> o.key;
        IF fresh ? 'rules' THEN
            PERFORM vulkan.set_binding(stream, consumer_group, fresh -> 'rules');
        END IF;
        IF fresh ?| ARRAY['max_in_flight', 'max_in_flight_per_prefix', 'prefix_delimiter', 'rate', 'burst'] THEN
            PERFORM vulkan.set_limits(stream, consumer_group,
                max_in_flight => (fresh ->> 'max_in_flight')::integer,
                max_in_flight_per_prefix => (fresh ->> 'max_in_flight_per_prefix')::integer,
                prefix_delimiter => fresh ->> 'prefix_delimiter', rate => (fresh ->> 'rate')::float8, burst => (fresh ->> 'burst')::integer);
        END IF;
        IF fresh ? 'breaker' THEN
            PERFORM vulkan.set_breaker(stream, consumer_group,
                failure_percent => CASE WHEN fresh -> 'breaker' = '0' THEN 0 ELSE (fresh #>> '{breaker,failure_percent}')::integer END,
                min_attempts => (fresh #>> '{breaker,min_attempts}')::integer,
                time_window => make_interval(secs => (fresh #>> '{breaker,time_window}')::float8),
                pause => make_interval(secs => (fresh #>> '{breaker,pause}')::float8),
                max_pause => make_interval(secs => (fresh #>> '{breaker,max_pause}')::float8),
                probes => (fresh #>> '{breaker,probes}')::integer);
        END IF;
        PERFORM vulkan.alter_group(stream, consumer_group,
            max_attempts => (fresh ->> 'max_attempts')::integer, on_dead => fresh ->> 'on_dead',
            backoff_initial => make_interval(secs => (fresh ->> 'backoff_initial')::float8),
            backoff_max => make_interval(secs => (fresh ->> 'backoff_max')::float8),
            lease => make_interval(secs => (fresh ->> 'lease')::float8));
        DELETE FROM vulkan.declarations d WHERE d.group_id = declared_id AND (d.version_key < key OR d.fingerprint = md5(declared::text));
        INSERT INTO vulkan.declarations AS d (group_id, version_key, options, version, worker)
        VALUES (declared_id, key, declared, declare_options.version, declare_options.worker)
        RETURNING d.* INTO standing;
    END IF;
    stands_since := standing.declared_at;
    standing_version := standing.version;
    SELECT jsonb_object_agg(o.key, jsonb_build_object('declared', o.value, 'stands', s.stands -> o.key)) INTO differences
    FROM jsonb_each(declared) o, (SELECT vulkan.options_of(declared_id) AS stands) s
    WHERE o.value IS DISTINCT FROM s.stands -> o.key;
    differences := coalesce(differences, '{}');
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION vulkan.declare_options(text, text, jsonb, text, text) IS
'What a program declares a group''s options to be when it starts: any of max_attempts, backoff_initial, backoff_max, lease (seconds, or texts such as "30 s"), on_dead, rules, and the limits that set_limits() and set_breaker() set (0: none; breaker: an object of its options, in seconds). The higher version of the program wins; of one version, the later new declaration, so that a process that starts again and again with the options of before changes nothing. What is declared as before leaves what an operator has set by alter_group() or set_binding().
Returns whether the declaration was news and was applied; since when and of which version the standing one is; and the options that stand otherwise than declared: {"lease": {"declared": 30, "stands": 120}}.';

CREATE FUNCTION vulkan.forget_declarations(stream text, consumer_group text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    forgotten integer;
BEGIN
    DELETE FROM vulkan.declarations d WHERE d.group_id = vulkan.group_id(stream, consumer_group);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;
COMMENT ON FUNCTION vulkan.forget_declarations(text, text) IS 'Lets the next program that starts declare a group''s options, whatever its version: for going back to an older release. Returns how many declarations were forgotten.';

CREATE VIEW vulkan.group_workers AS
SELECT s.name AS stream, g.name AS consumer_group,
       count(w.name) AS workers, count(w.name) FILTER (WHERE w.state = 'draining') AS draining,
       coalesce(sum(w.slots), 0) AS slots, coalesce(sum(w.slots_used), 0) AS slots_used,
       coalesce(array_agg(DISTINCT w.version) FILTER (WHERE w.version IS NOT NULL), '{}') AS versions,
       count(DISTINCT coalesce(w.version, '')) FILTER (WHERE w.name IS NOT NULL) > 1 AS mixed,
       d.version AS options_version, d.declared_at AS options_declared_at
FROM vulkan.groups g
JOIN vulkan.streams s ON s.stream_id = g.stream_id
LEFT JOIN vulkan.workers w ON g.group_id = ANY (w.group_ids) AND vulkan.is_alive(w)
LEFT JOIN LATERAL (SELECT x.* FROM vulkan.declarations x WHERE x.group_id = g.group_id
                   ORDER BY x.version_key DESC, x.declared_at DESC LIMIT 1) d ON true
GROUP BY s.name, g.name, d.version, d.declared_at;
COMMENT ON VIEW vulkan.group_workers IS 'The workers of each group. mixed: they are of more than one version. options_version, options_declared_at: the declaration of options that stands. slots count in every group that their worker serves.';
