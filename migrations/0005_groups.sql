-- Consumer groups, what they bind, and the state of their messages.

CREATE TABLE vulkan.groups (
    group_id        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id       integer NOT NULL REFERENCES vulkan.streams,
    name            text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,127}$'),
    mode            text NOT NULL DEFAULT 'lifecycle' CHECK (mode IN ('lifecycle', 'cursor')),
    paused_at       timestamptz,
    max_attempts    integer NOT NULL DEFAULT 6 CHECK (max_attempts BETWEEN 1 AND 1001),
    backoff_initial interval NOT NULL DEFAULT '2 seconds' CHECK (backoff_initial > interval '0'),
    backoff_max     interval NOT NULL DEFAULT '10 minutes',
    lease           interval NOT NULL DEFAULT '30 seconds' CHECK (lease > interval '0'),
    on_dead         text NOT NULL DEFAULT 'advance' CHECK (on_dead IN ('advance', 'block')),
    unfiltered      boolean NOT NULL DEFAULT true,
    max_in_flight   integer CHECK (max_in_flight > 0),
    max_in_flight_per_prefix integer CHECK (max_in_flight_per_prefix > 0),
    prefix_delimiter text NOT NULL DEFAULT ':' CHECK (length(prefix_delimiter) BETWEEN 1 AND 16),
    prefix_limits   boolean NOT NULL DEFAULT false,
    rate            double precision CHECK (rate > 0 AND rate < 'infinity'),
    burst           integer CHECK (burst > 0),
    breaker         boolean NOT NULL DEFAULT false,
    prefixed        boolean NOT NULL GENERATED ALWAYS AS (max_in_flight_per_prefix IS NOT NULL OR prefix_limits) STORED,
    limited         boolean NOT NULL GENERATED ALWAYS AS (num_nonnulls(max_in_flight, max_in_flight_per_prefix, rate) > 0 OR prefix_limits OR breaker) STORED,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (stream_id, name),
    CONSTRAINT backoff_in_order CHECK (backoff_max >= backoff_initial)
);
COMMENT ON TABLE vulkan.groups IS 'The consumer groups of each stream. A lifecycle group has retries and dead letters; a cursor group has a bare reading position.';
COMMENT ON COLUMN vulkan.groups.max_attempts IS 'A message is dead after this many attempts: retries + 1.';
COMMENT ON COLUMN vulkan.groups.on_dead IS 'What a dead message does to its partition key: the key moves on (advance), or waits for a redrive or skip (block).';
COMMENT ON COLUMN vulkan.groups.unfiltered IS 'Every binding the group has matches everything; kept by the functions that bind.';
COMMENT ON COLUMN vulkan.groups.max_in_flight IS 'At most so many messages of the group are in flight at once, over all its workers. NULL: no limit. See set_limits().';
COMMENT ON COLUMN vulkan.groups.max_in_flight_per_prefix IS 'The same for the messages of each key prefix. NULL: no limit.';
COMMENT ON COLUMN vulkan.groups.prefix_delimiter IS 'The prefix of a partition key is what stands before the first of these, or the whole key without one.';
COMMENT ON COLUMN vulkan.groups.prefix_limits IS 'Some prefixes have limits of their own, in vulkan.prefix_limits; kept by set_prefix_limit().';
COMMENT ON COLUMN vulkan.groups.rate IS 'At most so many attempts begin in a second, over all workers. NULL: no limit.';
COMMENT ON COLUMN vulkan.groups.burst IS 'So many attempts may begin at once after a quiet time. NULL: a tenth of a second''s worth.';
COMMENT ON COLUMN vulkan.groups.breaker IS 'The group has a circuit breaker, in vulkan.breakers; kept by set_breaker().';
COMMENT ON COLUMN vulkan.groups.prefixed IS 'There are limits to key prefixes.';
COMMENT ON COLUMN vulkan.groups.limited IS 'There is any limit, so claim() goes by allowance().';

CREATE TABLE vulkan.prefix_limits (
    group_id      integer NOT NULL REFERENCES vulkan.groups ON DELETE CASCADE,
    prefix_hash   bigint NOT NULL,
    prefix        text NOT NULL,
    max_in_flight integer NOT NULL CHECK (max_in_flight >= 0),
    PRIMARY KEY (group_id, prefix_hash)
);
COMMENT ON TABLE vulkan.prefix_limits IS 'Key prefixes whose limit is not their group''s max_in_flight_per_prefix. See set_prefix_limit().';
COMMENT ON COLUMN vulkan.prefix_limits.max_in_flight IS 'At most so many messages of the prefix are in flight. 0: none is handed out.';

-- Here, since the overview shows it; what moves it is in 0019.
CREATE TABLE vulkan.breakers (
    group_id        integer PRIMARY KEY REFERENCES vulkan.groups ON DELETE CASCADE,
    failure_percent integer NOT NULL CHECK (failure_percent BETWEEN 1 AND 100),
    min_attempts    integer NOT NULL CHECK (min_attempts > 0),
    time_window     interval NOT NULL CHECK (time_window > interval '0'),
    pause           interval NOT NULL CHECK (pause > interval '0'),
    max_pause       interval NOT NULL,
    probes          integer NOT NULL CHECK (probes > 0),
    state           text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open')),
    until           timestamptz,
    trips           integer NOT NULL DEFAULT 0,
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pause_in_order CHECK (max_pause >= pause),
    CONSTRAINT until_while_open CHECK ((state = 'open') = (until IS NOT NULL))
);
COMMENT ON TABLE vulkan.breakers IS 'The circuit breakers of groups: options and state. A row changes only when its state does.';
COMMENT ON COLUMN vulkan.breakers.failure_percent IS 'It opens when at least so many of a hundred attempts failed, …';
COMMENT ON COLUMN vulkan.breakers.min_attempts IS '… of at least so many …';
COMMENT ON COLUMN vulkan.breakers.time_window IS '… that ended within so long.';
COMMENT ON COLUMN vulkan.breakers.state IS 'closed: messages are handed out. open: none are, until the time in until; after it only probes are (half-open), and what becomes of them closes it or opens it again.';
COMMENT ON COLUMN vulkan.breakers.trips IS 'How often it has opened since it was closed last: each time the pause doubles, up to max_pause.';

-- A binding holds for the events above from_offset, up to the next binding's. So which rules an
-- event was, is or will be matched by depends on its offset alone, however often it is asked.
CREATE TABLE vulkan.bindings (
    group_id     integer NOT NULL REFERENCES vulkan.groups ON DELETE CASCADE,
    from_offset  bigint NOT NULL,
    everything   boolean NOT NULL,
    kind_regex   text,
    header_rules jsonb,
    rules        jsonb NOT NULL,
    bound_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_id, from_offset)
);
COMMENT ON TABLE vulkan.bindings IS 'What a group wants of its stream: rules, each a kind pattern and headers to contain; an event that matches any of them is a message of the group.';
COMMENT ON COLUMN vulkan.bindings.rules IS 'The rules as given: [{"kind": pattern, "headers": object or null}].';
COMMENT ON COLUMN vulkan.bindings.kind_regex IS 'The rules without headers, compiled to one expression.';
COMMENT ON COLUMN vulkan.bindings.header_rules IS 'The rules with headers: [{"regex": …, "headers": …}].';

-- No foreign key to the group here and below: each row written would lock the group's row, and what many
-- transactions lock at once costs them all.
--
-- Who looks a row up by its key asks lease_until whether it is held, never status: a partial index on
-- status would offer itself for that, and on a table that seems empty it would be scanned from end to end.
CREATE TABLE vulkan.claims (
    group_id    integer NOT NULL,
    hi          bigint NOT NULL,
    lo          bigint NOT NULL CHECK (lo <= hi),
    token       bigint NOT NULL,
    claimed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at  timestamptz,
    lease_until timestamptz,
    messages    integer NOT NULL,
    origin      text NOT NULL CHECK (origin IN ('claim', 'pass', 'seek')),
    worker      text,
    PRIMARY KEY (group_id, hi),
    CONSTRAINT leased_while_open CHECK ((settled_at IS NULL) = (lease_until IS NOT NULL))
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX claims_open ON vulkan.claims (group_id, lease_until) WHERE settled_at IS NULL;
COMMENT ON TABLE vulkan.claims IS 'One row: one lease over a range (lo, hi] of the log, held by one worker. The highest hi is the group''s cursor. A settled claim stays: it is the record of the done messages in it.';
COMMENT ON COLUMN vulkan.claims.token IS 'The fence: only who knows it may settle the claim.';
COMMENT ON COLUMN vulkan.claims.messages IS 'How many messages without a partition key were handed out with it: those it settles.';
COMMENT ON COLUMN vulkan.claims.origin IS 'claim: handed out. pass: nothing in the range was to be handed out, because it did not match or its keys have their lanes. seek: the group was created or set here; what lies in the range was never handed out.';

CREATE TABLE vulkan.exceptions (
    group_id    integer NOT NULL,
    "offset"    bigint NOT NULL,
    status      text NOT NULL CHECK (status IN ('ready', 'processing', 'done', 'dead')),
    lane        bigint,
    attempts    integer NOT NULL,
    token       bigint NOT NULL,
    solo        boolean NOT NULL DEFAULT false,
    run_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_at  timestamptz,
    lease_until timestamptz,
    worker      text,
    last_error  text,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_id, "offset"),
    CONSTRAINT leased_while_processing CHECK ((status = 'processing') = (lease_until IS NOT NULL))
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX exceptions_ready ON vulkan.exceptions (group_id, solo, run_at) WHERE status = 'ready' AND lane IS NULL;
CREATE INDEX exceptions_lane ON vulkan.exceptions (group_id, lane, "offset") WHERE status = 'ready' AND lane IS NOT NULL;
CREATE INDEX exceptions_lane_due ON vulkan.exceptions (group_id, lane, solo, run_at) WHERE status = 'ready' AND lane IS NOT NULL;
CREATE INDEX exceptions_leased ON vulkan.exceptions (group_id, lease_until) WHERE status = 'processing';
CREATE INDEX exceptions_dead ON vulkan.exceptions (group_id, updated_at) WHERE status = 'dead';
COMMENT ON TABLE vulkan.exceptions IS 'One row: one message with a story of its own. It failed, is dead, is delayed, outlived its claim, or was skipped.';
COMMENT ON COLUMN vulkan.exceptions.lane IS 'The key hash of a keyed message: its lane decides when it is handed out.';
COMMENT ON COLUMN vulkan.exceptions.attempts IS 'Attempts begun, counted when the message is handed out.';
COMMENT ON COLUMN vulkan.exceptions.token IS 'The fence: grows with every hand-out; only the newest may settle.';
COMMENT ON COLUMN vulkan.exceptions.solo IS 'It came back from a lost lease, so it may have killed its process: handed out alone.';

CREATE TABLE vulkan.keys (
    group_id    integer NOT NULL,
    key_hash    bigint NOT NULL,
    prefix_hash bigint NOT NULL,
    head        bigint NOT NULL,
    through     bigint NOT NULL,
    held        integer NOT NULL DEFAULT 0,
    status      text NOT NULL CHECK (status IN ('ready', 'parked', 'processing', 'blocked', 'drained')),
    straggler   bigint,
    redriven    boolean NOT NULL DEFAULT false,
    opened      boolean NOT NULL DEFAULT true,
    solo_until  bigint NOT NULL DEFAULT 0,
    solo        boolean NOT NULL DEFAULT false,
    token       bigint NOT NULL,
    kept        boolean NOT NULL DEFAULT false,
    run_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_at  timestamptz,
    lease_until timestamptz,
    worker      text,
    PRIMARY KEY (group_id, key_hash, token),
    CONSTRAINT leased_while_processing CHECK ((status = 'processing') = (lease_until IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX keys_ready ON vulkan.keys (group_id, solo, run_at) WHERE status = 'ready';
CREATE INDEX keys_leased ON vulkan.keys (group_id, lease_until) WHERE status = 'processing';
CREATE INDEX keys_parked ON vulkan.keys (group_id, prefix_hash, run_at) WHERE status = 'parked';
COMMENT ON TABLE vulkan.keys IS 'One row: one partition key. Either it has unresolved messages, which are its events above head up to the group''s cursor: then the row is its lane. Or it is drained, and the row is only kept for a while. No row: the same as drained.';
COMMENT ON COLUMN vulkan.keys.prefix_hash IS 'The hash of the key''s prefix: what the limit per prefix goes by.';
COMMENT ON COLUMN vulkan.keys.status IS 'ready: its next message is due at run_at. parked: the same, but its prefix is at its limit; it is out of claim()''s sight until there is room. processing: a worker holds a run of it. blocked: it waits for a dead message. drained: no lane; since run_at nothing of the key is unresolved.';
COMMENT ON COLUMN vulkan.keys.head IS 'Everything of the key at or below it is resolved, stragglers apart.';
COMMENT ON COLUMN vulkan.keys.through IS 'While processing: the run handed out ends here.';
COMMENT ON COLUMN vulkan.keys.held IS 'While processing: how many messages the run handed out has. They count as in flight until the run ends.';
COMMENT ON COLUMN vulkan.keys.straggler IS 'While processing: the redriven message below head that was handed out.';
COMMENT ON COLUMN vulkan.keys.opened IS 'Its run was handed out with the claim that opened the lane.';
COMMENT ON COLUMN vulkan.keys.redriven IS 'Messages below head were redriven and wait; they go first.';
COMMENT ON COLUMN vulkan.keys.token IS 'The fence: grows whenever a run is handed out. A key is looked up by its highest token: while an old snapshot is held, the versions of its row that nobody needs any more lie behind the one that counts.';
COMMENT ON COLUMN vulkan.keys.kept IS 'It has been drained before, and its row not deleted: a key that comes again and again keeps its row, so that the look-up never has to step over all the rows it had.';
COMMENT ON COLUMN vulkan.keys.solo_until IS 'Up to here messages are handed out alone: they were in flight when a lease was lost.';
COMMENT ON COLUMN vulkan.keys.solo IS 'What it hands out next may be one of those, or a redriven message whose lease was lost.';

CREATE VIEW vulkan.lanes AS
SELECT k.group_id, k.key_hash, k.prefix_hash, k.head, k.through, k.held, k.status, k.straggler, k.redriven, k.opened, k.solo_until, k.solo, k.token, k.kept, k.run_at, k.claimed_at, k.lease_until, k.worker
FROM vulkan.keys k WHERE k.status <> 'drained';
COMMENT ON VIEW vulkan.lanes IS 'One row: one partition key with unresolved messages. No lane: the key is drained.';

CREATE TABLE vulkan.ready_marks (
    group_id        integer NOT NULL,
    marked_at       timestamptz NOT NULL,
    exceptions_from timestamptz NOT NULL,
    lanes_from      timestamptz NOT NULL,
    valid_until     timestamptz NOT NULL,
    PRIMARY KEY (group_id, marked_at)
);
COMMENT ON TABLE vulkan.ready_marks IS 'One row: from which run_at on ready exceptions and ready lanes of a group are worth looking for, for a while. Only made where the look takes long, because an old snapshot keeps what was ready before from being cleaned away.';

CREATE TABLE vulkan.runs (
    group_id   integer NOT NULL,
    key_hash   bigint NOT NULL,
    hi         bigint NOT NULL,
    lo         bigint NOT NULL,
    claimed_at timestamptz NOT NULL,
    settled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    worker     text NOT NULL,
    PRIMARY KEY (group_id, key_hash, hi)
);
COMMENT ON TABLE vulkan.runs IS 'One row: a finished run of one key, (lo, hi], and who handled it when. The record of the done messages in it.';

CREATE TABLE vulkan.cancel_requests (
    group_id     integer NOT NULL,
    "offset"     bigint NOT NULL,
    token        bigint NOT NULL,
    reason       text,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_id, "offset")
);
CREATE INDEX cancel_requests_age ON vulkan.cancel_requests (requested_at);
COMMENT ON TABLE vulkan.cancel_requests IS 'The messages in work that were asked to stop. A row goes when its message ends; such a message is never handed out again.';
COMMENT ON COLUMN vulkan.cancel_requests.token IS 'What the message was in work under when it was asked to stop: its worker knows it by that.';

CREATE SEQUENCE vulkan.token_seq AS bigint CACHE 1;
COMMENT ON SEQUENCE vulkan.token_seq IS 'Fencing tokens of claims, exceptions and lanes: a token only grows, whatever attempts do.';

CREATE FUNCTION vulkan.group_id(stream text, consumer_group text) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_id integer;
BEGIN
    SELECT g.group_id INTO found_id FROM vulkan.groups g
    WHERE g.stream_id = vulkan.stream_id(stream) AND g.name = consumer_group;
    IF found_id IS NULL THEN
        RAISE EXCEPTION 'stream "%" has no consumer group "%"', stream, consumer_group
            USING ERRCODE = 'VK002', HINT = format('Create it: SELECT vulkan.create_group(%L, %L)', stream, consumer_group);
    END IF;
    RETURN found_id;
END $$;
COMMENT ON FUNCTION vulkan.group_id(text, text) IS 'The id of a consumer group. Raises VK001 (no such stream) or VK002 (no such group).';

-- In plpgsql, which keeps its plan: one in SQL is planned at each call, which takes longer than the look-up.
CREATE FUNCTION vulkan.cursor_of(group_id integer) RETURNS bigint
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    RETURN (SELECT c.hi FROM vulkan.claims c WHERE c.group_id = cursor_of.group_id ORDER BY c.hi DESC LIMIT 1);
END $$;
COMMENT ON FUNCTION vulkan.cursor_of(integer) IS 'The cursor of a group: everything at or below it has been handed out or passed over. Found newest first, so that old versions of rows cost nothing.';

-- The latch of a group: who moves its cursor or its lanes holds it to the end of the transaction.
CREATE FUNCTION vulkan.latch(group_id integer) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1459617792, group_id); END $$;
COMMENT ON FUNCTION vulkan.latch(integer) IS 'Internal. Waits for the group''s latch and holds it until the transaction ends.';
