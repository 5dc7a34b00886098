-- Recurring events: each tick of a schedule publishes its event exactly once, whoever fires it.

-- When a cron expression comes next is computed by who fires it, since the engine knows no cron; that each
-- tick happens once is decided here, by one row that is compared and set in the transaction that publishes.
CREATE TABLE vulkan.schedules (
    name          text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,127}$'),
    stream_id     integer NOT NULL REFERENCES vulkan.streams,
    kind          text NOT NULL,
    payload       jsonb NOT NULL,
    partition_key text,
    headers       jsonb CHECK (jsonb_typeof(headers) = 'object'),
    cron          text CHECK (length(cron) BETWEEN 1 AND 1000),
    every         interval CHECK (every >= interval '1 second' AND every < interval '100 years' AND extract(month FROM every) = 0 AND extract(year FROM every) = 0),
    time_zone     text NOT NULL DEFAULT 'UTC',
    missed        text NOT NULL DEFAULT 'latest' CHECK (missed IN ('skip', 'latest', 'all')),
    grace         interval NOT NULL DEFAULT '1 minute' CHECK (grace > interval '0'),
    catch_up      integer NOT NULL DEFAULT 100 CHECK (catch_up BETWEEN 1 AND 10000),
    revision      bigint NOT NULL DEFAULT nextval('vulkan.token_seq'),
    since         timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at       timestamptz CHECK (vulkan.check_time(next_at)),
    last_at       timestamptz,
    last_offset   bigint,
    paused_at     timestamptz,
    retry_at      timestamptz,
    last_error    text,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT cron_or_every CHECK (num_nonnulls(cron, every) = 1)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE INDEX schedules_due ON vulkan.schedules (next_at) WHERE paused_at IS NULL;
COMMENT ON TABLE vulkan.schedules IS 'The recurring events: what each publishes, when, and where it stands. Change them by put_schedule() and its siblings; look at them through vulkan.schedule_overview.';
COMMENT ON COLUMN vulkan.schedules.cron IS 'A cron expression of five fields, or six with seconds first, for the clock on the wall in time_zone.';
COMMENT ON COLUMN vulkan.schedules.every IS 'A fixed interval, a day being 24 hours: the next tick is the last one plus this, so it does not drift.';
COMMENT ON COLUMN vulkan.schedules.missed IS 'What becomes of ticks that came while nobody could fire them. latest: one event for all of them, with the time of the newest. all: one event each, in order, the newest catch_up of them. skip: as latest, but only if the newest is no older than grace.';
COMMENT ON COLUMN vulkan.schedules.revision IS 'The fence: grows with every change of the definition, and with each schedule that is made, so that who computed a tick by an old one does not fire it, nor one of a deleted schedule of the same name.';
COMMENT ON COLUMN vulkan.schedules.since IS 'Ticks count from here: when the schedule was made, its timing changed, or it was resumed.';
COMMENT ON COLUMN vulkan.schedules.next_at IS 'The next tick. NULL: whoever knows cron has yet to compute it.';
COMMENT ON COLUMN vulkan.schedules.last_at IS 'The newest tick that was published, by the time it was due.';
COMMENT ON COLUMN vulkan.schedules.last_offset IS 'The offset of the event of that tick.';
COMMENT ON COLUMN vulkan.schedules.retry_at IS 'Something failed: left alone until then.';

CREATE FUNCTION vulkan.schedule_of(schedule text, to_change boolean) RETURNS vulkan.schedules
LANGUAGE plpgsql AS $$
DECLARE
    s vulkan.schedules;
BEGIN
    IF to_change THEN
        PERFORM FROM vulkan.schedules x WHERE x.name = schedule FOR UPDATE;
    END IF;
    SELECT x.* INTO s FROM vulkan.schedules x WHERE x.name = schedule;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no schedule "%"', schedule
            USING ERRCODE = 'VK008', HINT = 'See vulkan.schedule_overview; make one with vulkan.put_schedule().';
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION vulkan.schedule_of(text, boolean) IS 'Internal. A schedule, its row locked if it is to be changed. Raises VK008 where there is none of that name.';

-- In seconds, lest a day is another length when the session's time zone changes its clocks.
CREATE FUNCTION vulkan.tick_after(s vulkan.schedules, from_tick timestamptz, after timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT from_tick + make_interval(secs =>
        (floor(greatest(extract(epoch FROM after - from_tick), 0) / extract(epoch FROM s.every)) + 1)
        * extract(epoch FROM s.every))
$$;
COMMENT ON FUNCTION vulkan.tick_after(vulkan.schedules, timestamptz, timestamptz) IS 'Internal. The first tick of a fixed interval above a time, counted from a tick at or below it.';

CREATE FUNCTION vulkan.put_schedule(
    schedule text, stream text, kind text, payload jsonb,
    cron text DEFAULT NULL, every interval DEFAULT NULL, time_zone text DEFAULT 'UTC',
    missed text DEFAULT 'latest', grace interval DEFAULT '1 minute', catch_up integer DEFAULT 100,
    partition_key text DEFAULT NULL, headers jsonb DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    to_stream CONSTANT integer := vulkan.stream_id(stream);
    at        CONSTANT timestamptz := clock_timestamp();
    is_new    boolean;
    s         vulkan.schedules;
BEGIN
    PERFORM vulkan.check_kind(kind);
    PERFORM vulkan.check_event(payload, NULL, partition_key);
    PERFORM vulkan.check_schedule(schedule, cron, every, time_zone, missed, grace, catch_up, headers);
    -- As they will be: what passes here must not fail at each tick.
    PERFORM vulkan.check_headers(vulkan.tick_headers(headers, schedule, '2000-01-01 00:00:00.000001Z'));
    INSERT INTO vulkan.schedules (name, stream_id, kind, payload, cron, every, time_zone, missed, grace, catch_up, partition_key, headers, since, next_at)
    VALUES (schedule, to_stream, put_schedule.kind, put_schedule.payload, put_schedule.cron, put_schedule.every,
            put_schedule.time_zone, put_schedule.missed, put_schedule.grace, put_schedule.catch_up,
            put_schedule.partition_key, put_schedule.headers, at, at + put_schedule.every)
    ON CONFLICT ON CONSTRAINT schedules_pkey DO NOTHING;
    is_new := FOUND;
    IF is_new THEN
        PERFORM vulkan.ring_schedules();
        RETURN true;
    END IF;
    s := vulkan.schedule_of(schedule, to_change => true);
    IF (s.stream_id, s.kind, s.payload, s.cron, s.every, s.time_zone, s.missed, s.grace, s.catch_up, s.partition_key, s.headers)
       IS NOT DISTINCT FROM
       (to_stream, put_schedule.kind, put_schedule.payload, put_schedule.cron, put_schedule.every, put_schedule.time_zone,
        put_schedule.missed, put_schedule.grace, put_schedule.catch_up, put_schedule.partition_key, put_schedule.headers) THEN
        RETURN false;
    END IF;
    UPDATE vulkan.schedules x SET
        stream_id = to_stream, kind = put_schedule.kind, payload = put_schedule.payload, cron = put_schedule.cron,
        every = put_schedule.every, time_zone = put_schedule.time_zone, missed = put_schedule.missed,
        grace = put_schedule.grace, catch_up = put_schedule.catch_up, partition_key = put_schedule.partition_key,
        headers = put_schedule.headers, revision = nextval('vulkan.token_seq'), retry_at = NULL, last_error = NULL
    WHERE x.name = schedule;
    -- Another event at the same times: no tick is lost, and none comes twice.
    IF (s.cron, s.every, s.time_zone) IS DISTINCT FROM (put_schedule.cron, put_schedule.every, put_schedule.time_zone) THEN
        UPDATE vulkan.schedules x SET since = at, next_at = at + put_schedule.every WHERE x.name = schedule;
    END IF;
    PERFORM vulkan.ring_schedules();
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.put_schedule(text, text, text, jsonb, text, interval, text, text, interval, integer, text, jsonb) IS 'Makes a recurring event of that name, or changes it to this definition: exactly one of cron (five fields, or six with seconds first, by the clock of time_zone) and every (one second or more; the first tick comes one interval from now). The same definition changes nothing; another timing begins anew from now. A paused schedule stays paused. Workers fire it. Returns whether anything changed. Raises VK001 (no such stream), VK003.';

CREATE FUNCTION vulkan.check_schedule(
    schedule text, cron text, every interval, time_zone text, missed text, grace interval, catch_up integer, headers jsonb
) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    problem text;
    advice  text;
BEGIN
    IF schedule IS NULL OR schedule !~ '^[a-z0-9][a-z0-9._-]{0,127}$' THEN
        problem := format('schedule name %s is not valid', coalesce(quote_literal(left(schedule, 200)), 'NULL'));
        advice := 'Use 1 to 128 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit.';
    ELSIF num_nonnulls(cron, every) <> 1 THEN
        problem := format('schedule "%s" has %s', schedule, CASE WHEN cron IS NULL THEN 'neither cron nor every' ELSE 'both cron and every' END);
        advice := 'Give exactly one: cron => ''0 3 * * *'', or every => ''15 minutes''.';
    ELSIF every < interval '1 second' OR every >= interval '100 years' OR extract(month FROM every) <> 0 OR extract(year FROM every) <> 0 THEN
        problem := format('schedule "%s" cannot come every %s', schedule, every);
        advice := 'Give an interval of one second or more, without months and years, whose lengths differ: those are for cron.';
    ELSIF cron IS NOT NULL AND length(cron) NOT BETWEEN 1 AND 1000 THEN
        problem := format('the cron expression of schedule "%s" has %s characters', schedule, length(cron));
        advice := 'Give five fields, or six with seconds first, in up to 1000 characters.';
    ELSIF time_zone IS NULL OR NOT vulkan.is_time_zone(time_zone) THEN
        problem := format('schedule "%s" has the unknown time zone %s', schedule, coalesce(quote_literal(left(time_zone, 100)), 'NULL'));
        advice := 'Use a name such as Europe/Zurich or UTC: SELECT name FROM pg_timezone_names.';
    ELSIF missed IS NULL OR missed NOT IN ('skip', 'latest', 'all') THEN
        problem := format('schedule "%s" cannot treat missed ticks as %s', schedule, coalesce(quote_literal(left(missed, 100)), 'NULL'));
        advice := 'Use skip, latest or all.';
    ELSIF grace IS NULL OR grace <= interval '0' THEN
        problem := format('the grace %s of schedule "%s" is not above zero', coalesce(grace::text, 'NULL'), schedule);
        advice := 'Say how late a tick may be fired that is else skipped.';
    ELSIF catch_up IS NULL OR catch_up NOT BETWEEN 1 AND 10000 THEN
        problem := format('schedule "%s" cannot catch up on %s ticks', schedule, coalesce(catch_up::text, 'NULL'));
        advice := 'Use 1 to 10000.';
    ELSIF jsonb_typeof(headers) <> 'object' THEN
        problem := format('the headers of schedule "%s" are no JSON object', schedule);
        advice := 'Give an object, or NULL.';
    ELSE
        RETURN;
    END IF;
    RAISE EXCEPTION '%', problem USING ERRCODE = 'VK003', HINT = advice;
END $$;
COMMENT ON FUNCTION vulkan.check_schedule(text, text, interval, text, text, interval, integer, jsonb) IS 'Internal. Raises VK003 unless these can make a schedule. The cron expression itself is read by who fires it.';

CREATE FUNCTION vulkan.is_time_zone(name text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM clock_timestamp() AT TIME ZONE name;
    RETURN true;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;
END $$;
COMMENT ON FUNCTION vulkan.is_time_zone(text) IS 'Internal. Whether this server knows a time zone.';

CREATE FUNCTION vulkan.ring_schedules() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- A notification queue that fills up is left alone, since a full one would abort the caller; who fires looks by itself, too.
    IF pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('vulkan', 'schedules');
    END IF;
END $$;
COMMENT ON FUNCTION vulkan.ring_schedules() IS 'Internal. Tells on channel "vulkan", on commit, that a schedule may come sooner than was thought.';

CREATE FUNCTION vulkan.due_schedules(
    look_ahead interval DEFAULT '10 seconds', look_back interval DEFAULT NULL, at_most integer DEFAULT 100
) RETURNS TABLE (
    schedule text, revision bigint, cron text, time_zone text, due timestamptz, since timestamptz,
    at_once integer, now timestamptz
)
LANGUAGE sql AS $$
    WITH at AS MATERIALIZED (SELECT clock_timestamp() AS now), known AS (
        SELECT s.* FROM vulkan.schedules s
        WHERE s.paused_at IS NULL AND s.next_at <= (SELECT a.now FROM at a) + look_ahead
          AND s.next_at > coalesce((SELECT a.now FROM at a) - look_back, '-infinity')
          AND (s.retry_at IS NULL OR s.retry_at <= (SELECT a.now FROM at a))
        ORDER BY s.next_at LIMIT at_most
    ), unknown AS (
        SELECT s.* FROM vulkan.schedules s
        WHERE s.paused_at IS NULL AND s.next_at IS NULL
          AND (s.retry_at IS NULL OR s.retry_at <= (SELECT a.now FROM at a))
        LIMIT at_most
    )
    SELECT s.name, s.revision, s.cron, s.time_zone, s.next_at, s.since,
           CASE s.missed WHEN 'all' THEN s.catch_up ELSE 1 END, a.now
    FROM (SELECT * FROM known UNION ALL SELECT * FROM unknown) s CROSS JOIN at a
$$;
COMMENT ON FUNCTION vulkan.due_schedules(interval, interval, integer) IS 'The schedules that are due, or will be within look_ahead, and those of cron whose next tick is yet to be computed (due is NULL): the first tick after since, for plan_schedule(). For each: at_once, the most ticks that fire_schedule() would publish, and now, the database''s clock. look_back bounds how long ago a schedule may have fallen due (NULL: any time), which keeps the look cheap while old snapshots are held.';

CREATE FUNCTION vulkan.plan_schedule(schedule text, revision bigint, next_at timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE vulkan.schedules s SET next_at = plan_schedule.next_at, retry_at = NULL, last_error = NULL
    WHERE s.name = schedule AND s.revision = plan_schedule.revision AND s.next_at IS NULL
      AND plan_schedule.next_at > s.since;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION vulkan.plan_schedule(text, bigint, timestamptz) IS 'Sets the next tick of a schedule of that revision that has none yet. Returns whether it did.';

CREATE FUNCTION vulkan.fire_schedule(
    schedule text, revision bigint, due timestamptz,
    ticks timestamptz[] DEFAULT NULL, next_tick timestamptz DEFAULT NULL
) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    at        CONSTANT timestamptz := clock_timestamp();
    s         vulkan.schedules;
    coming    timestamptz;
    newest    timestamptz;
    published bigint[] := '{}';
BEGIN
    -- Who finds the row locked comes too late, or looks again soon.
    SELECT x.* INTO s FROM vulkan.schedules x
    WHERE x.name = schedule AND x.revision = fire_schedule.revision AND x.next_at = due
      AND x.paused_at IS NULL AND x.next_at <= at
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF s.every IS NOT NULL THEN
        coming := vulkan.tick_after(s, due, at);
        ticks := ARRAY(SELECT coming - make_interval(secs => n * extract(epoch FROM s.every))
                       FROM generate_series(1, CASE s.missed WHEN 'all' THEN s.catch_up ELSE 1 END) AS n
                       WHERE coming - make_interval(secs => n * extract(epoch FROM s.every)) >= due ORDER BY n DESC);
    ELSE
        coming := next_tick;
        IF coming IS NULL OR coming <= due OR ticks IS NULL OR EXISTS (
               SELECT FROM unnest(ticks) AS u(tick) WHERE u.tick IS NULL OR u.tick < due OR u.tick > at OR u.tick >= coming) THEN
            RAISE EXCEPTION 'these are no ticks of schedule "%"', schedule
                USING ERRCODE = 'VK003', HINT = 'Give the ticks from the one due up to now, and the one after them.';
        END IF;
        ticks := ARRAY(SELECT u.tick FROM (SELECT DISTINCT v.tick FROM unnest(ticks) AS v(tick)
                                           ORDER BY v.tick DESC LIMIT s.catch_up) u ORDER BY u.tick);
    END IF;
    newest := ticks[cardinality(ticks)];
    IF s.missed = 'all' THEN
        IF ticks[1] > due THEN
            RAISE WARNING 'schedule "%" does not make up for the ticks it missed from % to before %', schedule, due, ticks[1];
        END IF;
    ELSE
        ticks := CASE WHEN s.missed = 'latest' OR newest >= at - s.grace THEN ticks[cardinality(ticks):] ELSE '{}' END;
    END IF;
    FOR i IN 1 .. cardinality(ticks) LOOP
        s.last_at := ticks[i];
        s.last_offset := vulkan.publish_tick(s, ticks[i]);
        published := published || s.last_offset;
    END LOOP;
    UPDATE vulkan.schedules x
    SET next_at = coming, last_at = s.last_at, last_offset = s.last_offset, retry_at = NULL, last_error = NULL
    WHERE x.name = schedule;
    RETURN published;
END $$;
COMMENT ON FUNCTION vulkan.fire_schedule(text, bigint, timestamptz, timestamptz[], timestamptz) IS 'Fires a schedule that is due at that time, and moves it on to its next tick, in one transaction: of any number of callers one does it, and who dies before COMMIT has done nothing. For cron, ticks are those from the one due up to now (the newest at_once of due_schedules() are enough), and next_tick is the one after them; for a fixed interval both are computed here. The policy for missed ticks decides which are published. Returns their offsets, which may be none; NULL where another was faster, or the schedule was changed or paused. Raises VK003.';

CREATE FUNCTION vulkan.tick_headers(headers jsonb, schedule text, tick timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(headers, '{}') || jsonb_build_object('vulkan-schedule', schedule, 'vulkan-scheduled-at',
        regexp_replace(to_char(tick AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '\.0+Z$', 'Z'))
$$;
COMMENT ON FUNCTION vulkan.tick_headers(jsonb, text, timestamptz) IS 'Internal. The headers of a tick''s event: those of its schedule, and of which and for when it is.';

CREATE FUNCTION vulkan.publish_tick(s vulkan.schedules, tick timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    RETURN vulkan.publish((SELECT t.name FROM vulkan.streams t WHERE t.stream_id = s.stream_id), s.kind, s.payload, s.partition_key,
        vulkan.tick_headers(s.headers, s.name, tick));
END $$;
COMMENT ON FUNCTION vulkan.publish_tick(vulkan.schedules, timestamptz) IS 'Internal. Publishes the event of a tick. Its headers say of which schedule (vulkan-schedule), and for when (vulkan-scheduled-at, RFC 3339 in UTC).';

CREATE FUNCTION vulkan.fail_schedule(schedule text, revision bigint, error text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE vulkan.schedules s SET last_error = left(fail_schedule.error, 2000), retry_at = clock_timestamp() + interval '1 minute'
    WHERE s.name = schedule AND s.revision = fail_schedule.revision;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION vulkan.fail_schedule(text, bigint, text) IS 'Notes why a schedule of that revision cannot be fired, and leaves it alone for a minute, so that it stands in no other''s way. Returns whether there is one.';

CREATE FUNCTION vulkan.pause_schedule(schedule text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF (vulkan.schedule_of(schedule, to_change => true)).paused_at IS NOT NULL THEN
        RETURN false;
    END IF;
    UPDATE vulkan.schedules s SET paused_at = clock_timestamp() WHERE s.name = schedule;
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.pause_schedule(text) IS 'Stops a schedule from firing until it is resumed. Ticks that come meanwhile are not missed: they do not count. Returns whether anything changed. Raises VK008.';

CREATE FUNCTION vulkan.resume_schedule(schedule text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    at CONSTANT timestamptz := clock_timestamp();
    s  vulkan.schedules;
BEGIN
    s := vulkan.schedule_of(schedule, to_change => true);
    IF s.paused_at IS NULL THEN
        RETURN false;
    END IF;
    -- A fixed interval keeps its rhythm.
    UPDATE vulkan.schedules x
    SET paused_at = NULL, since = at, retry_at = NULL, revision = nextval('vulkan.token_seq'),
        next_at = CASE WHEN s.next_at > at THEN s.next_at WHEN s.every IS NOT NULL THEN vulkan.tick_after(s, s.next_at, at) END
    WHERE x.name = schedule;
    PERFORM vulkan.ring_schedules();
    RETURN true;
END $$;
COMMENT ON FUNCTION vulkan.resume_schedule(text) IS 'Lets a paused schedule fire again, from its next tick after now. Returns whether anything changed. Raises VK008.';

CREATE FUNCTION vulkan.run_schedule_now(schedule text) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    RETURN vulkan.publish_tick(vulkan.schedule_of(schedule, to_change => false), clock_timestamp());
END $$;
COMMENT ON FUNCTION vulkan.run_schedule_now(text) IS 'Publishes the event of a schedule now, beside its ticks, which stay as they are; a paused one, too. Returns its offset. Raises VK008.';

CREATE FUNCTION vulkan.delete_schedule(schedule text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM vulkan.schedules s WHERE s.name = schedule;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION vulkan.delete_schedule(text) IS 'Forgets a schedule; what it published stays. Returns whether there was one.';

CREATE VIEW vulkan.schedule_overview AS
SELECT s.name AS schedule, t.name AS stream, s.kind, s.cron, s.every, s.time_zone, s.missed, s.grace, s.catch_up, s.paused_at,
       CASE WHEN s.paused_at IS NULL THEN s.next_at END AS next_at, s.last_at, s.last_offset, s.last_error,
       s.payload, s.partition_key, s.headers, s.revision, s.created_at
FROM vulkan.schedules s JOIN vulkan.streams t ON t.stream_id = s.stream_id;
COMMENT ON VIEW vulkan.schedule_overview IS 'The recurring events: what they publish, when next and last, and why not. next_at is NULL while a schedule is paused, and until a worker has computed the first tick of a cron expression.';
