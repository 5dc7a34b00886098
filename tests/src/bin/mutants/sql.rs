//! Bugs in the SQL.
//!
//! Some rules are kept twice over, and to drop one of the two changes nothing that anybody could notice: a message that is taken back gets a new
//! token, and another one when it is handed out again. Such bugs are in both places at once.

use super::entry::Mutant;

/// Histories with fixed seeds, the same for every mutant.
const HISTORIES: &str = "engine::random::every_history";

pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a settled claim is not fenced",
        file: "migrations/0009_settle.sql",
        search: r#"WHERE c.ctid = y.ctid AND c.token = u.token AND c.lease_until IS NOT NULL
        RETURNING c.token"#,
        replace: r#"WHERE c.ctid = y.ctid AND c.lease_until IS NOT NULL
        RETURNING u.token"#,
        also: &[],
        tests: &[
            "engine::lifecycle::replay::a_zombie",
            "engine::lifecycle::settle::a_zombie",
            "engine::interleavings::enumerated::settle_reap",
            HISTORIES,
        ],
    },
    Mutant {
        name: "a settled message is not fenced",
        file: "migrations/0009_settle.sql",
        search: r#"AND x.ctid = y.ctid AND x.token = r.token AND x.lease_until IS NOT NULL"#,
        replace: r#"AND x.ctid = y.ctid AND x.lease_until IS NOT NULL"#,
        also: &[],
        tests: &["engine::lifecycle::settle::a_zombie", HISTORIES],
    },
    Mutant {
        name: "a settled lane is not fenced",
        file: "migrations/0009_settle.sql",
        search: r#"AND n.token = i.token AND n.lease_until IS NOT NULL LIMIT 1 FOR UPDATE"#,
        replace: r#"AND n.lease_until IS NOT NULL LIMIT 1 FOR UPDATE"#,
        also: &[],
        tests: &[
            "engine::lifecycle::settle::a_zombie",
            "engine::interleavings::enumerated::claim_settle_and_reap",
            HISTORIES,
        ],
    },
    Mutant {
        name: "a lane is settled without the latch",
        file: "migrations/0009_settle.sql",
        search: r#"    IF EXISTS (SELECT FROM unnest(lanes) l WHERE l IS NOT NULL) THEN
        PERFORM vulkan.latch(group_id);
    END IF;"#,
        replace: r#""#,
        also: &[],
        tests: &[
            "engine::interleavings::enumerated",
            "engine::lifecycle::routing::a_settlement_that_waited",
        ],
    },
    Mutant {
        name: "what runs on is fenced by its own settlement",
        file: "migrations/0009_settle.sql",
        search: r#"CASE WHEN r.status = 'processing' THEN r.token ELSE nextval('vulkan.token_seq') END"#,
        replace: r#"nextval('vulkan.token_seq')"#,
        also: &[],
        tests: &["engine::lifecycle::settle::what_still_runs", HISTORIES],
    },
    Mutant {
        name: "a failed message of a key is taken for done",
        file: "migrations/0009_settle.sql",
        search: r#"ELSE greatest(h.old_head, h.o - 1) END"#,
        replace: r#"ELSE greatest(h.old_head, h.o) END"#,
        also: &[],
        tests: &["engine::lanes::a_key_in_backoff", HISTORIES],
    },
    Mutant {
        name: "a dead message never blocks its key",
        file: "migrations/0009_settle.sql",
        search: r#"(h.status = 'dead' AND g.on_dead = 'advance')"#,
        replace: r#"h.status = 'dead'"#,
        also: &[],
        tests: &["engine::lifecycle::operate::a_dead_message_blocks"],
    },
    Mutant {
        name: "the last attempt is not the last",
        file: "migrations/0009_settle.sql",
        search: r#"OR (i.outcome = 'retry' AND coalesce(x.attempts, 1) >= g.max_attempts)"#,
        replace: r#"OR (i.outcome = 'retry' AND coalesce(x.attempts, 1) > g.max_attempts)"#,
        also: &[],
        tests: &["engine::lifecycle::settle::the_last_attempt", HISTORIES],
    },
    Mutant {
        name: "snooze spends an attempt",
        file: "migrations/0009_settle.sql",
        search: r#"attempts = x.attempts - (r.outcome IN ('snooze', 'release'))::integer"#,
        replace: r#"attempts = x.attempts - (r.outcome = 'release')::integer"#,
        also: &[],
        tests: &[
            "engine::lifecycle::settle::a_retry_that_is_put_off",
            HISTORIES,
        ],
    },
    Mutant {
        name: "attempts are counted at failure",
        file: "migrations/0007_claim.sql",
        search: r#"attempts = x.attempts + 1, token = nextval"#,
        replace: r#"attempts = x.attempts, token = nextval"#,
        also: &[],
        tests: &["engine::lifecycle::settle", HISTORIES],
    },
    Mutant {
        name: "a plain cursor: no floor holds the horizon back",
        file: "migrations/0004_horizon.sql",
        search: r#"lso := least(lso, lowest);"#,
        replace: r#"lso := lso;"#,
        also: &[],
        tests: &[
            "engine::horizon::an_open_publisher",
            "engine::interleavings::enumerated::publishers_and_a_claim",
        ],
    },
    Mutant {
        name: "claims read up to the newest offset",
        file: "migrations/0007_claim.sql",
        search: r#"    SELECT h.lso INTO top FROM vulkan.horizon(g.stream_id) h;
    IF top <= cursor THEN"#,
        replace: r#"    SELECT q.last_value INTO top FROM vulkan.offset_seq q;
    IF top <= cursor THEN"#,
        also: &[],
        tests: &["engine::horizon", HISTORIES],
    },
    Mutant {
        name: "the floor is taken after the offset is drawn",
        file: "migrations/0003_publish.sql",
        search: r#"        AND vulkan.announce(to_stream);
    drawn := nextval('vulkan.offset_seq');"#,
        replace: r#";
    drawn := nextval('vulkan.offset_seq');
    done := vulkan.announce(to_stream);"#,
        also: &[],
        tests: &[HISTORIES, "engine::horizon"],
    },
    Mutant {
        name: "a rolled-back savepoint takes the memory of the floor along, and not the floor",
        file: "migrations/0003_publish.sql",
        search: r#"set_config(setting, floor::text, true)"#,
        replace: r#"set_config(setting, floor::text, false)"#,
        also: &[],
        tests: &[HISTORIES, "engine::publish", "engine::horizon"],
    },
    Mutant {
        name: "the bell is never rung",
        file: "migrations/0003_publish.sql",
        search: r#"THEN pg_notify('vulkan', stream_id::text) IS NOT NULL"#,
        replace: r#"THEN false"#,
        also: &[],
        tests: &[
            "client::read::waiting::a_reader_at_the_end",
            "worker::database::a_publisher_wakes",
        ],
    },
    Mutant {
        name: "dedup without its window",
        file: "migrations/0003_publish.sql",
        search: r#"            SET "offset" = EXCLUDED."offset", expires_at = EXCLUDED.expires_at
            WHERE d.expires_at <= clock_timestamp();
        IF NOT FOUND"#,
        replace: r#"            SET "offset" = EXCLUDED."offset", expires_at = EXCLUDED.expires_at;
        IF NOT FOUND"#,
        also: &[],
        tests: &[
            "engine::publish::a_dedup_id",
            "engine::publish::two_publishers",
            HISTORIES,
        ],
    },
    Mutant {
        name: "a load is not announced",
        file: "migrations/0003_publish.sql",
        search: r#"        PERFORM vulkan.announce(to_stream);
        IF coalesce(current_setting(setting"#,
        replace: r#"        IF coalesce(current_setting(setting"#,
        also: &[],
        tests: &["engine::loads::a_load_holds"],
    },
    Mutant {
        name: "a claim moves the cursor without the latch",
        file: "migrations/0007_claim.sql",
        search: r#"    IF room > 0 AND pg_try_advisory_xact_lock(1459617792, group_id) THEN"#,
        replace: r#"    IF room > 0 THEN"#,
        also: &[],
        tests: &[
            "engine::lifecycle",
            "engine::interleavings::enumerated::two_claims",
            "engine::random::concurrent",
        ],
    },
    Mutant {
        name: "a paused group hands out",
        file: "migrations/0007_claim.sql",
        search: r#"    IF g.paused_at IS NOT NULL OR room < 1 THEN
        RETURN;
    END IF;
    -- Losing"#,
        replace: r#"    IF room < 1 THEN
        RETURN;
    END IF;
    -- Losing"#,
        also: &[],
        tests: &["engine::lifecycle::operate::a_paused_group", HISTORIES],
    },
    Mutant {
        name: "a delayed event is handed out at once",
        file: "migrations/0007_claim.sql",
        search: r#"    IF batch.delayed > 0 THEN"#,
        replace: r#"    IF false THEN"#,
        also: &[],
        tests: &["engine::lifecycle::settle::a_delayed_event", HISTORIES],
    },
    Mutant {
        name: "what was skipped before its turn has its turn",
        file: "migrations/0007_claim.sql",
        search: r#"    marked := EXISTS (SELECT FROM vulkan.exceptions x WHERE x.group_id = g.group_id AND x."offset" > cursor);"#,
        replace: r#"    marked := false;"#,
        also: &[],
        tests: &["engine::lifecycle", HISTORIES],
    },
    Mutant {
        name: "suspects are handed out together",
        file: "migrations/0007_claim.sql",
        search: r#"ORDER BY x.run_at LIMIT take_solo::integer FOR UPDATE SKIP LOCKED"#,
        replace: r#"ORDER BY x.run_at LIMIT 10 FOR UPDATE SKIP LOCKED"#,
        also: &[],
        tests: &["engine::lifecycle::leases::at_most_one", HISTORIES],
    },
    Mutant {
        name: "a run goes past a message that waits: no head-of-lane rule",
        file: "migrations/0008_lanes.sql",
        search: r#"        WHERE m.handed"#,
        replace: r#"        WHERE m.due"#,
        also: &[],
        tests: &["engine::lanes::a_run_ends_before", HISTORIES],
    },
    Mutant {
        name: "a key in backoff is handed out",
        file: "migrations/0008_lanes.sql",
        search: r#"AND l.status = 'ready' AND NOT l.solo AND l.run_at <= at"#,
        replace: r#"AND l.status = 'ready' AND NOT l.solo"#,
        also: &[(
            "migrations/0008_lanes.sql",
            "AND coalesce(x.run_at <= at, true) AS due",
            "AS due",
        )],
        tests: &["engine::lanes::a_key_in_backoff", HISTORIES],
    },
    Mutant {
        name: "a run keeps the lane's token",
        file: "migrations/0008_lanes.sql",
        search: r#"straggler = r.late, token = new_token, opened = false"#,
        replace: r#"straggler = r.late, opened = false"#,
        also: &[],
        tests: &[HISTORIES, "engine::lanes"],
    },
    Mutant {
        name: "a lane that is given back stays in work",
        file: "migrations/0008_lanes.sql",
        search: r#"SET head = n.head, status = CASE WHEN n.drained THEN 'drained' ELSE 'ready' END, straggler"#,
        replace: r#"SET head = l.head, status = CASE WHEN n.drained THEN 'drained' ELSE 'ready' END, straggler"#,
        also: &[],
        tests: &[HISTORIES, "engine::lanes"],
    },
    Mutant {
        name: "a busy key is opened a second time",
        file: "migrations/0008_lanes.sql",
        search: r#"        WHERE coalesce(l.status, 'drained') = 'drained'
"#,
        replace: r#""#,
        also: &[],
        tests: &["engine::lanes", "engine::lifecycle", HISTORIES],
    },
    Mutant {
        name: "neither the reaper nor the next claim draws a token",
        file: "migrations/0010_leases.sql",
        search: r#"ELSE 'ready' END, token = nextval('vulkan.token_seq'),
        attempts ="#,
        replace: r#"ELSE 'ready' END,
        attempts ="#,
        also: &[(
            "migrations/0007_claim.sql",
            "attempts = x.attempts + 1, token = nextval('vulkan.token_seq'), worker",
            "attempts = x.attempts + 1, worker",
        )],
        tests: &[
            "engine::lifecycle::leases",
            "engine::lifecycle::settle",
            HISTORIES,
        ],
    },
    Mutant {
        name: "the reaper does not make solo",
        file: "migrations/0010_leases.sql",
        search: r#"solo = true, run_at = clock_timestamp()"#,
        replace: r#"solo = false, run_at = clock_timestamp()"#,
        also: &[],
        tests: &["engine::lifecycle::leases"],
    },
    Mutant {
        name: "a lost claim spends no attempt",
        file: "migrations/0010_leases.sql",
        search: r#"CASE WHEN n.note IS NOT NULL THEN lost::integer ELSE least(lost::integer, g.max_attempts - 1) END,"#,
        replace: r#"0,"#,
        also: &[],
        tests: &["engine::lifecycle::leases", HISTORIES],
    },
    Mutant {
        name: "a reaped claim keeps its token",
        file: "migrations/0010_leases.sql",
        search: r#"    UPDATE vulkan.claims c SET settled_at = clock_timestamp(), lease_until = NULL, token = nextval('vulkan.token_seq')"#,
        replace: r#"    UPDATE vulkan.claims c SET lease_until = clock_timestamp() + g.lease"#,
        also: &[],
        tests: &["engine::lifecycle::leases", HISTORIES],
    },
    Mutant {
        name: "the reaper lets a message that kills live on",
        file: "migrations/0010_leases.sql",
        search: r#"CASE WHEN (x.attempts >= g.max_attempts AND x.solo) OR n.note IS NOT NULL THEN 'dead' ELSE 'ready' END"#,
        replace: r#"CASE WHEN n.note IS NOT NULL THEN 'dead' ELSE 'ready' END"#,
        also: &[],
        tests: &["engine::lifecycle::leases", HISTORIES],
    },
    Mutant {
        name: "anybody's lease of a claim is extended",
        file: "migrations/0010_leases.sql",
        search: r#"    WHERE y.token = u.token AND y.lease_until IS NOT NULL AND c.ctid = y.ctid;"#,
        replace: r#"    WHERE y.lease_until IS NOT NULL AND c.ctid = y.ctid;"#,
        also: &[],
        tests: &["engine::lifecycle::leases"],
    },
    Mutant {
        name: "redrive gives no fresh budget",
        file: "migrations/0011_operate.sql",
        search: r#"    SET status = 'ready', attempts = 0, token = nextval('vulkan.token_seq'), solo = false,"#,
        replace: r#"    SET status = 'ready', token = nextval('vulkan.token_seq'), solo = false,"#,
        also: &[],
        tests: &["engine::lifecycle::operate::redrive_picks", HISTORIES],
    },
    Mutant {
        name: "redrive forgets the lane of its message",
        file: "migrations/0011_operate.sql",
        search: r#"    IF keys IS NOT NULL THEN
        UPDATE vulkan.lanes l"#,
        replace: r#"    IF false THEN
        UPDATE vulkan.lanes l"#,
        also: &[],
        tests: &["engine::lifecycle::operate::a_redriven_key", HISTORIES],
    },
    Mutant {
        name: "a rewind leaves what is in flight above it",
        file: "migrations/0012_replay.sql",
        search: r#"    DELETE FROM vulkan.exceptions e WHERE e.group_id = g.group_id AND e."offset" > rewind.x;"#,
        replace: r#""#,
        also: &[],
        tests: &["engine::lifecycle::replay", HISTORIES],
    },
    Mutant {
        name: "a rewind leaves the lanes as they are",
        file: "migrations/0012_replay.sql",
        search: r#"        PERFORM vulkan.reset_lanes(g, cursor_was, cursor_is);"#,
        replace: r#""#,
        also: &[],
        tests: &["engine::lifecycle::replay", HISTORIES],
    },
    Mutant {
        name: "a rewind does not wait for completions",
        file: "migrations/0012_replay.sql",
        search: r#"    PERFORM vulkan.await_completions(g.group_id);"#,
        replace: r#""#,
        also: &[],
        tests: &[
            "engine::lifecycle::replay::a_rewind_outlasts",
            "engine::interleavings::enumerated::complete_rewind",
        ],
    },
    Mutant {
        name: "a binding holds for the event before it",
        file: "migrations/0006_bindings.sql",
        search: r#"b.from_offset < event_offset"#,
        replace: r#"b.from_offset <= event_offset"#,
        also: &[],
        tests: &["engine::lifecycle::routing", HISTORIES],
    },
    Mutant {
        name: "a commit of a cursor is not fenced",
        file: "migrations/0015_cursors.sql",
        search: r#"    WHERE r.group_id = commit_cursor.group_id AND r.term = commit_cursor.term FOR UPDATE;"#,
        replace: r#"    WHERE r.group_id = commit_cursor.group_id FOR UPDATE;"#,
        also: &[],
        tests: &["client::reader::fenced"],
    },
    Mutant {
        name: "complete() is not fenced for a message",
        file: "migrations/0017_complete.sql",
        search: r#"x."offset" = complete.event_offset AND x.token = complete.token
              AND x.lease_until IS NOT NULL"#,
        replace: r#"x."offset" = complete.event_offset
              AND x.lease_until IS NOT NULL"#,
        also: &[],
        tests: &["engine::lifecycle::complete"],
    },
    Mutant {
        name: "complete() is not fenced for a claim",
        file: "migrations/0017_complete.sql",
        search: r#"WHERE c.group_id = complete.group_id AND c.token = complete.token AND c.lease_until IS NOT NULL"#,
        replace: r#"WHERE c.group_id = complete.group_id AND c.lease_until IS NOT NULL"#,
        also: &[],
        tests: &[
            "engine::lifecycle::complete",
            "engine::lifecycle::replay",
            "worker::exactly_once",
            HISTORIES,
        ],
    },
    Mutant {
        name: "complete() is not fenced for a lane",
        file: "migrations/0017_complete.sql",
        search: r#"l.key_hash = complete.lane AND l.token = complete.token
"#,
        replace: r#"l.key_hash = complete.lane
"#,
        also: &[(
            "migrations/0017_complete.sql",
            "l.key_hash = complete.lane AND l.token = complete.token AND l.lease_until IS NOT NULL);",
            "l.key_hash = complete.lane);",
        )],
        tests: &[
            "engine::lifecycle::complete",
            "engine::lifecycle::replay",
            "worker::exactly_once",
            HISTORIES,
        ],
    },
    Mutant {
        name: "complete() does not look again at a lane for which it has waited",
        file: "migrations/0017_complete.sql",
        search: r#"        marked := FOUND AND EXISTS ("#,
        replace: r#"        marked := FOUND OR EXISTS ("#,
        also: &[],
        tests: &["engine::interleavings::completed"],
    },
    Mutant {
        name: "a message that was completed meanwhile blocks its lane",
        file: "migrations/0009_settle.sql",
        search: r#"x."offset" = r.o AND x.status = 'dead')"#,
        replace: r#"x."offset" = r.o)"#,
        also: &[],
        tests: &["engine::interleavings::completed"],
    },
    Mutant {
        name: "runs of keys do not count as in flight",
        file: "migrations/0018_limits.sql",
        search: r#"         + (SELECT coalesce(sum(l.held), 0) FROM vulkan.keys l"#,
        replace: r#"         + (SELECT 0 * coalesce(sum(l.held), 0) FROM vulkan.keys l"#,
        also: &[],
        tests: &["engine::limits::in_flight"],
    },
    Mutant {
        name: "a request to stop is not heeded",
        file: "migrations/0022_cancel.sql",
        search: r#"CASE WHEN asked.note IS NULL THEN u.outcome ELSE 'dead' END"#,
        replace: r#"u.outcome"#,
        also: &[],
        tests: &["engine::lifecycle::cancel", HISTORIES],
    },
    Mutant {
        name: "a checkpoint is saved by who lost the lease",
        file: "migrations/0023_checkpoints.sql",
        search: r#"WHERE l.group_id = save_checkpoint.group_id AND l.key_hash = save_checkpoint.lane AND l.token = save_checkpoint.token"#,
        replace: r#"WHERE l.group_id = save_checkpoint.group_id AND l.key_hash = save_checkpoint.lane"#,
        also: &[],
        tests: &["engine::checkpoints"],
    },
    Mutant {
        name: "a claim looks a key up by its oldest row",
        file: "migrations/0007_claim.sql",
        search: r#"ORDER BY k.token DESC LIMIT 1), 'drained') = 'drained'"#,
        replace: r#"ORDER BY k.token LIMIT 1), 'drained') = 'drained'"#,
        also: &[],
        tests: &["engine::held::a_key_that_comes"],
    },
    Mutant {
        name: "a lane is opened by the oldest row of its key",
        file: "migrations/0008_lanes.sql",
        search: r#"ORDER BY x.token DESC LIMIT 1) l ON true
        WHERE coalesce"#,
        replace: r#"ORDER BY x.token LIMIT 1) l ON true
        WHERE coalesce"#,
        also: &[],
        tests: &["engine::held::a_key_that_comes"],
    },
    Mutant {
        name: "a lane rests by the oldest row of its key",
        file: "migrations/0008_lanes.sql",
        search: r#"ORDER BY x.token DESC LIMIT 1) l
        LEFT JOIN LATERAL (
            SELECT e."offset", greatest"#,
        replace: r#"ORDER BY x.token LIMIT 1) l
        LEFT JOIN LATERAL (
            SELECT e."offset", greatest"#,
        also: &[],
        tests: &["engine::held::a_key_that_comes"],
    },
    Mutant {
        name: "no key keeps its row",
        file: "migrations/0008_lanes.sql",
        search: r#"l.kept OR random() < 1.0 / 16 AS kept"#,
        replace: r#"false AS kept"#,
        also: &[],
        tests: &["engine::held::a_key_that_comes"],
    },
    Mutant {
        name: "a lane is drained though a redriven message waits",
        file: "migrations/0008_lanes.sql",
        search: r#"n."offset" IS NULL AND p.due_at IS NULL AND s.due_at IS NULL AS drained"#,
        replace: r#"n."offset" IS NULL AS drained"#,
        also: &[],
        tests: &["engine::lifecycle::operate", "engine::lanes", HISTORIES],
    },
    Mutant {
        name: "a lane goes on in the past, below a mark",
        file: "migrations/0008_lanes.sql",
        search: r#"run_at = greatest(at, least(n.late_due_at, CASE WHEN n."offset" IS NOT NULL THEN coalesce(n.due_at, at) END))"#,
        replace: r#"run_at = coalesce(least(n.late_due_at, CASE WHEN n."offset" IS NOT NULL THEN coalesce(n.due_at, at) END), at)"#,
        also: &[],
        tests: &["engine::held::a_lane_that_goes_on", HISTORIES],
    },
    Mutant {
        name: "rows of keys are forgotten that are lanes",
        file: "migrations/0008_lanes.sql",
        search: r#"AND n.status = 'drained' AND n.run_at < since"#,
        replace: r#"AND n.run_at < since"#,
        also: &[],
        tests: &["engine::held::rows_of_drained", HISTORIES],
    },
    Mutant {
        name: "a mark leaves transactions under way no second",
        file: "migrations/0007_claim.sql",
        search: r#"recent     CONSTANT timestamptz := at - interval '1 second';"#,
        replace: r#"recent     CONSTANT timestamptz := at;"#,
        also: &[],
        tests: &["engine::held::what_became_ready_within"],
    },
    Mutant {
        name: "a mark hides what was parked",
        file: "migrations/0007_claim.sql",
        search: r#"CASE WHEN g.prefixed THEN '-infinity' ELSE least(lanes, recent) END"#,
        replace: r#"least(lanes, recent)"#,
        also: &[],
        tests: &["engine::held::what_was_parked"],
    },
    Mutant {
        name: "a mark hides messages that are ready",
        file: "migrations/0007_claim.sql",
        search: r#"VALUES (g.group_id, at, least(exceptions, recent),"#,
        replace: r#"VALUES (g.group_id, at, recent,"#,
        also: &[],
        tests: &["engine::held::a_mark_stands", HISTORIES],
    },
    Mutant {
        name: "a mark hides lanes that are ready",
        file: "migrations/0007_claim.sql",
        search: r#"ELSE least(lanes, recent) END"#,
        replace: r#"ELSE recent END"#,
        also: &[],
        tests: &["engine::held::a_mark_stands", HISTORIES],
    },
    Mutant {
        name: "a mark does not know of suspects",
        file: "migrations/0007_claim.sql",
        search: r#"x.status = 'ready' AND x.lane IS NULL AND x.solo
             AND x.run_at >= mark"#,
        replace: r#"x.status = 'ready' AND x.lane IS NULL AND false
             AND x.run_at >= mark"#,
        also: &[],
        tests: &["engine::held::a_mark_stands"],
    },
    Mutant {
        name: "a mark does not know of lanes of suspects",
        file: "migrations/0007_claim.sql",
        search: r#"l.status = 'ready' AND l.solo
             AND l.run_at >= mark"#,
        replace: r#"l.status = 'ready' AND false
             AND l.run_at >= mark"#,
        also: &[],
        tests: &["engine::held::a_mark_stands"],
    },
    Mutant {
        name: "a mark holds for ever",
        file: "migrations/0007_claim.sql",
        search: r#"IF mark.valid_until > clock_timestamp() AND mark.marked_at <= clock_timestamp() THEN"#,
        replace: r#"IF mark.marked_at IS NOT NULL THEN"#,
        also: &[],
        tests: &["engine::held::what_became_ready_below"],
    },
    Mutant {
        name: "the floor of a dedup id is taken after the offset is drawn",
        file: "migrations/0003_publish.sql",
        search: r#"    PERFORM vulkan.announce(to_stream);
    publish_once."offset" := nextval('vulkan.offset_seq');"#,
        replace: r#"    publish_once."offset" := nextval('vulkan.offset_seq');
    PERFORM vulkan.announce(to_stream);"#,
        also: &[],
        tests: &["engine::horizon", "engine::publish", HISTORIES],
    },
    Mutant {
        name: "a batch is not announced",
        file: "migrations/0003_publish.sql",
        search: r#"    PERFORM vulkan.announce(to_stream);
    IF dedup_ids IS NULL THEN"#,
        replace: r#"    IF dedup_ids IS NULL THEN"#,
        also: &[],
        tests: &[
            "engine::publish",
            "engine::horizon",
            "client::publish",
            HISTORIES,
        ],
    },
    Mutant {
        name: "publish() does not ring",
        file: "migrations/0003_publish.sql",
        search: r#"    done := vulkan.ring(to_stream);
    RETURN drawn;"#,
        replace: r#"    RETURN drawn;"#,
        also: &[],
        tests: &[
            "client::read::waiting",
            "engine::publish",
            "worker::database::a_publisher_wakes",
        ],
    },
    Mutant {
        name: "publish_many() does not ring",
        file: "migrations/0003_publish.sql",
        search: r#"    END IF;
    PERFORM vulkan.ring(to_stream);
END $$;
COMMENT ON FUNCTION vulkan.publish_many("#,
        replace: r#"    END IF;
END $$;
COMMENT ON FUNCTION vulkan.publish_many("#,
        also: &[],
        tests: &[
            "engine::publish",
            "client::read::waiting",
            "client::publish",
            "worker::database::a_publisher_wakes",
        ],
    },
    Mutant {
        name: "a load does not ring",
        file: "migrations/0003_publish.sql",
        search: r#"        PERFORM vulkan.ring(to_stream);
    END IF;
    RETURN NULL;"#,
        replace: r#"    END IF;
    RETURN NULL;"#,
        also: &[],
        tests: &["engine::loads"],
    },
    Mutant {
        name: "what runs as the owner looks for names anywhere",
        file: "migrations/0026_roles.sql",
        search: r#"SECURITY DEFINER SET search_path = pg_catalog, vulkan, pg_temp', entry"#,
        replace: r#"SECURITY DEFINER', entry"#,
        also: &[],
        tests: &["security::definer"],
    },
    Mutant {
        name: "a publisher reads what was published",
        file: "migrations/0026_roles.sql",
        search: r#"'{SELECT ON vulkan.streams, SELECT ON vulkan.meta, USAGE ON SEQUENCE vulkan.offset_seq}'"#,
        replace: r#"'{SELECT ON vulkan.streams, SELECT ON vulkan.meta, SELECT ON vulkan.events, USAGE ON SEQUENCE vulkan.offset_seq}'"#,
        also: &[],
        tests: &["security::matrix"],
    },
    Mutant {
        name: "PUBLIC may call everything",
        file: "migrations/0026_roles.sql",
        search: r#"    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA vulkan FROM PUBLIC;
"#,
        replace: r#""#,
        also: &[],
        tests: &["security::definer", "security::matrix"],
    },
    Mutant {
        name: "what comes after a delayed message of a key counts as in flight",
        file: "migrations/0008_lanes.sql",
        search: r#"CASE WHEN f.first_delayed IS NULL THEN f.messages"#,
        replace: r#"CASE WHEN true THEN f.messages"#,
        also: &[],
        tests: &["engine::limits::in_flight::a_run_counts", HISTORIES],
    },
];
