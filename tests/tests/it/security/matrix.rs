use std::collections::BTreeMap;

use super::support::{PARTS, Roles};

/// P publisher, W worker, O operator, R reader, M migrator. A function that is not here belongs to nobody but the owner,
/// and says so: what it is called is among [`INTERNAL`].
const FUNCTIONS: &str = "
alter_group WO
binding_at WOR
cancel O
check O
check_dedup P
check_event P
check_headers P
check_key P
check_kind P
check_payload P
check_time P
checkpoint_of W
claim W
commit_cursor W
complete W
complete_many W
create_group WO
create_stream WO
cursor_of WOR
declare_options W
delete_schedule O
doctor WOR
drain_worker O
drain_workers O
due_schedules WO
events_of P
extend W
fail_schedule W
fire_schedule W
floors WOR
forget_declarations O
group_backlog WOR
group_id WOR
horizon WOR
inspect WOR
is_alive WOR
is_deep P
is_drained WOR
is_message WOR
kind_regex WOR
lag WOR
look W
lso WOR
maintain WO
matches WOR
met_before W
partitions_missing WOR
pause O
pause_schedule O
plan_schedule WO
prefix_limit WOR
publish P
publish_many P
publish_once P
put_schedule WO
read_events W
reap WO
redrive O
release_cursor W
replay O
reset_breaker O
resolve_position WO
resume O
resume_schedule O
roll_slot O
run_schedule_now O
save_checkpoint W
set_binding WO
set_breaker WO
set_limits WO
set_prefix_limit O
settle W
skip O
stream_id PWOR
take_cursor W
taken_elsewhere W
worker_beat W
worker_gone W
worker_orders W
";

const INTERNAL: &str = "
allowance announce are_plain await_completions backoff bind_from breaker_since burst_of cancel_note charge check_group check_position check_schedule
claim_exceptions claim_few claim_lanes claim_limited claim_limited_lanes claim_limited_log claim_log claim_range compile_binding
count_messages create_roles ensure_partitions exception_messages forget_checkpoints forget_done_checkpoints forget_outcomes
forget_workers grant_loads grant_roles granted hand_over has_events heed_cancels heeded hold_message in_flight is_passed_over
is_time_zone lane_messages latch latch_soon loading longest_run new_limit note_outcomes open_lanes open_limited_lanes open_to_loads
option_value options_of pass prefix_hash prefixes_in_flight publish_many_once publish_tick reap_claim
reap_claim_singly forget_keys mark_ready next_ready ready_mark reap_exceptions reap_lanes reap_messages redriven_due reset_lanes rest_lanes rewind ring ring_schedules role_names
role_rights schedule_of set_aside set_prefixes settle_exceptions settle_lanes status_in stretch sweep_checkpoints take_fresh_keys tally_lanes
tally_messages tick_after tick_headers unpark unpark_all version_key
";

/// What a role has of a table: s SELECT, i INSERT, u UPDATE, d DELETE, t TRUNCATE, r REFERENCES, g TRIGGER; a capital letter
/// stands for some columns only. `events_*` is the table of each stream, `leaf` each partition of it.
const TABLES: &str = "
_sqlx_migrations
bindings W:s O:s R:s
blocked_keys W:s O:s R:s
breakers
cancel_requests
checkpoints
claims W:S O:S R:S
declarations
dedup
deliveries W:s O:s R:s
events W:s O:s
events_* P:I
exceptions
group_overview W:s O:s R:s
group_workers W:s O:s R:s
groups W:s O:s R:s
keys
lane_pending
lanes
leaf
lso_holders W:s O:s R:s
meta M:s P:s W:s O:s R:s
offset_seq P:s W:s O:s R:s
outcomes
prefix_limits W:s O:s R:s
prefix_overview W:s O:s R:s
rate_grants
readers
ready_marks
runs
schedule_overview W:S O:s R:S
schedules
slots W:s O:s R:s
streams P:s W:s O:s R:s
token_seq
workers W:s O:s R:s
";

fn letter(part: &str) -> &'static str {
    match part {
        "publisher" => "P",
        "worker" => "W",
        "operator" => "O",
        "reader" => "R",
        "migrator" => "M",
        _ => "",
    }
}

fn expected_functions() -> BTreeMap<String, String> {
    let granted = FUNCTIONS.lines().filter(|line| !line.is_empty());
    let granted = granted.map(|line| line.split_once(' ').unwrap());
    let internal = INTERNAL.split_whitespace().map(|name| (name, ""));
    granted
        .chain(internal)
        .map(|(name, parts)| (name.to_owned(), parts.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_is_for_whom_it_is_meant() {
    let roles = Roles::new().await;
    let mut found = BTreeMap::<String, String>::new();
    for part in PARTS {
        let rows: Vec<(String, bool, bool)> = sqlx::query_as(
            "SELECT p.proname::text, bool_or(has_function_privilege($1, p.oid, 'EXECUTE')), bool_and(has_function_privilege($1, p.oid, 'EXECUTE'))
             FROM pg_proc p WHERE p.pronamespace = 'vulkan'::regnamespace GROUP BY 1",
        )
        .bind(format!("{}_{part}", roles.prefix))
        .fetch_all(&roles.pool)
        .await
        .unwrap();
        for (name, may, may_all) in rows {
            assert_eq!(
                may, may_all,
                "{part} may call {name}() with some arguments, and not with others"
            );
            let who = found.entry(name.clone()).or_default();
            if part == "owner" {
                assert!(may, "the owner may not call {name}()");
            } else if may {
                who.push_str(letter(part));
            }
        }
    }
    let expected = expected_functions();
    for (name, who) in &found {
        let meant = expected.get(name).unwrap_or_else(|| {
            panic!("{name}() is new: say here and in vulkan.role_rights() who may call it")
        });
        assert_eq!(who, meant, "who may call {name}()");
    }
    let names = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));

    // What is for clients is for some role; PUBLIC has none of it.
    let public: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT p.proname::text FROM pg_proc p
         WHERE p.pronamespace = 'vulkan'::regnamespace AND obj_description(p.oid, 'pg_proc') NOT LIKE 'Internal.%'",
    )
    .fetch_all(&roles.pool)
    .await
    .unwrap();
    let owners = ["create_roles", "grant_roles"];
    // Helpers that are told of for who reads the SQL.
    let helpers = [
        "allowance",
        "backoff",
        "count_messages",
        "in_flight",
        "options_of",
        "version_key",
    ];
    for name in public {
        assert!(
            !expected[&name].is_empty()
                || owners.contains(&name.as_str())
                || helpers.contains(&name.as_str()),
            "{name}() is for clients, and no role may call it"
        );
    }
    let open: i64 = roles
        .value(
            "SELECT count(*) FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
             WHERE p.pronamespace = 'vulkan'::regnamespace AND a.grantee = 0",
        )
        .await;
    assert_eq!(open, 0, "functions that PUBLIC may call");
    roles.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_for_whom_it_is_meant() {
    let roles = Roles::new().await;
    // As tables come into being later: by a worker, by maintenance.
    roles
        .run("SELECT vulkan.create_stream('later', 1); SELECT vulkan.roll_slot()")
        .await;
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for part in PARTS {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT CASE WHEN c.relname ~ '^events_[0-9]+$' THEN 'events_*' WHEN c.relname ~ '^events_[0-9]+_[0-9]+$' THEN 'leaf' ELSE c.relname::text END,
                    coalesce((SELECT string_agg(CASE
                        WHEN c.relkind = 'S' THEN CASE WHEN v.verb IN ('SELECT', 'USAGE', 'UPDATE') AND has_sequence_privilege($1, c.oid, v.verb)
                                                       THEN CASE v.verb WHEN 'UPDATE' THEN 'u' ELSE 's' END END
                        WHEN v.verb <> 'USAGE' AND has_table_privilege($1, c.oid, v.verb) THEN v.letter
                        WHEN v.verb IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege($1, c.oid, v.verb) THEN upper(v.letter)
                        END, '' ORDER BY v.nth)
                    FROM unnest('{SELECT,USAGE,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[], '{s,s,i,u,d,t,r,g}'::text[])
                        WITH ORDINALITY AS v(verb, letter, nth)), '')
             FROM pg_class c
             WHERE c.relnamespace = 'vulkan'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i' AND c.relkind = 'S')",
        )
        .bind(format!("{}_{part}", roles.prefix))
        .fetch_all(&roles.pool)
        .await
        .unwrap();
        for (name, mut rights) in rows {
            if part == "owner" {
                assert!(rights.contains('s'), "the owner may not read {name}");
                continue;
            }
            rights.dedup_letters();
            let all = found.entry(name).or_default();
            let entry = format!("{}:{rights}", letter(part));
            if !rights.is_empty() && !all.contains(&entry) {
                all.push(entry);
            }
        }
    }
    let found: Vec<String> = found
        .into_iter()
        .map(|(name, rights)| {
            [name]
                .into_iter()
                .chain(rights)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    // Not there where the migrations were run from a copy: see the seeded bugs.
    let is_there = |line: &&str| *line != "_sqlx_migrations" || found.iter().any(|it| it == line);
    let lines = TABLES.lines().filter(|line| !line.is_empty());
    let expected: Vec<&str> = lines.filter(is_there).collect();
    assert_eq!(found, expected);
    let owners: Vec<String> = roles
        .value(
            "SELECT array_agg(DISTINCT o) FROM (SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE relnamespace = 'vulkan'::regnamespace
             UNION ALL SELECT pg_get_userbyid(proowner)::text FROM pg_proc WHERE pronamespace = 'vulkan'::regnamespace
             UNION ALL SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'vulkan') x(o)",
        )
        .await;
    assert_eq!(owners, [format!("{}_owner", roles.prefix)]);
    roles.end().await;
}

trait DedupLetters {
    fn dedup_letters(&mut self);
}

impl DedupLetters for String {
    /// SELECT and USAGE of a sequence are one to us.
    fn dedup_letters(&mut self) {
        let mut letters: Vec<char> = self.chars().collect();
        letters.dedup();
        *self = letters.into_iter().collect();
    }
}

/// Which columns those are of which a role has some.
#[tokio::test(flavor = "multi_thread")]
async fn columns_too() {
    let roles = Roles::new().await;
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT c.relname::text, replace(pg_get_userbyid(a.grantee)::text, $1 || '_', '') || ' ' || a.privilege_type,
                string_agg(t.attname::text, ' ' ORDER BY t.attname)
         FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN LATERAL aclexplode(t.attacl) a
         WHERE c.relnamespace = 'vulkan'::regnamespace AND t.attacl IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .bind(&roles.prefix)
    .fetch_all(&roles.pool)
    .await
    .unwrap();
    let lines: Vec<String> = columns
        .iter()
        .map(|(table, right, columns)| format!("{table} {right}: {columns}"))
        .collect();
    let overview = "catch_up created_at cron every grace kind last_at last_error last_offset missed next_at partition_key paused_at revision schedule stream time_zone";
    let mut expected = Vec::new();
    for part in ["operator", "reader", "worker"] {
        expected.push(format!("claims {part} SELECT: group_id hi"));
    }
    expected.push(
        "events_1 publisher INSERT: deliver_at headers kind partition_key payload".to_owned(),
    );
    for part in ["operator", "reader", "worker"] {
        expected.push(format!("schedule_overview {part} SELECT: {overview}"));
    }
    assert_eq!(lines, expected);
    roles.end().await;
}
