use sqlx::{AssertSqlSafe, PgConnection};

use super::support::{DENIED, Roles, code, run};
use crate::worker::support::until;

/// What the attacker calls before anything of ours, and the traps that this must spring.
const PROBE: &str = "
    SELECT format('%s', 1);
    SELECT hashtextextended('a', 0);
    SELECT 1 = 1, 'a'::pg_catalog.text || 'b'::pg_catalog.text;
    SELECT count(*) FROM (VALUES (1)) v;
    SELECT unnest('{1}'::pg_catalog.int4[]);
    SELECT clock_timestamp(), octet_length('a'::pg_catalog.text), nextval('vulkan.token_seq'::pg_catalog.regclass);
    SELECT 'a'::text";
const SPRUNG: &str = "clock_timestamp count format hashtextextended nextval octet_length operator = operator || type text unnest";

/// Everything that runs as the owner, each with an answer: a call that fails is not counted.
const CALLS: [&str; 66] = [
    "SELECT vulkan.create_stream('more', 1)",
    "SELECT vulkan.create_group('orders', 'g', rules => '[{\"kind\": \"order.*\"}]')",
    "SELECT vulkan.create_group('orders', 'reads', mode => 'cursor')",
    "SELECT vulkan.set_binding('orders', 'g', '[{\"kind\": \">\"}]')",
    "SELECT vulkan.alter_group('orders', 'g', max_attempts => 3)",
    "SELECT vulkan.resolve_position('orders', to_position => 'earliest')",
    "SELECT * FROM vulkan.declare_options('orders', 'g', '{\"max_attempts\": 4}', version => '1', worker => 'w')",
    "SELECT vulkan.forget_declarations('orders', 'g')",
    // Ways to publish.
    "SELECT vulkan.publish('orders', 'a.b', '{}', headers => '{}')",
    "SELECT vulkan.publish('orders', 'a.b', '{}', partition_key => 'k')",
    "SELECT vulkan.publish('orders', 'a.b', '{}', dedup_id => 'd')",
    "SELECT * FROM vulkan.publish_once('orders', 'a.b', '{}', 'd')",
    "SELECT vulkan.publish_many('orders', '{a,b}', '{1,2}')",
    "SELECT vulkan.publish_many('orders', '{a,b}', '{1,2}', dedup_ids => '{x,y}')",
    "INSERT INTO vulkan.events_1 (kind, payload) VALUES ('a', pg_catalog.to_jsonb(pg_catalog.repeat('x', 2000)))",
    // What workers do, with and without a lane.
    "SELECT * FROM vulkan.look('{1}')",
    "SELECT vulkan.complete(1, m.\"offset\", m.token, m.lane) FROM vulkan.claim(1, 'w', 1) m",
    "SELECT vulkan.complete(1, m.\"offset\", m.token, m.lane) FROM vulkan.claim(1, 'w', 1) m",
    "SELECT vulkan.complete_many(1, ARRAY[m.\"offset\"], ARRAY[m.token], ARRAY[m.lane]) FROM vulkan.claim(1, 'w', 1) m",
    "SELECT vulkan.save_checkpoint(1, m.\"offset\", m.token, m.lane, '1') FROM vulkan.claim(1, 'w', 1) m",
    "SELECT vulkan.checkpoint_of(1, 1), vulkan.met_before(1, 1), vulkan.taken_elsewhere(1, 'w', 'a')",
    "SELECT vulkan.cancel('orders', 'g', m.\"offset\") FROM vulkan.claim(1, 'w', 1) m",
    "SELECT vulkan.publish_many('orders', '{a,b,c,d}', '{1,2,3,4}', partition_keys => '{k,NULL,k,l}')",
    "SELECT (vulkan.settle(1, ARRAY[m.claim_hi], ARRAY[m.claim_token])).verdict
     FROM (SELECT y.claim_hi, y.token FROM vulkan.claim(1, 'w', 1) y) m(claim_hi, claim_token)",
    "SELECT (vulkan.settle(1, '{}', '{}', ARRAY[m.\"offset\"], ARRAY[m.token], ARRAY[m.lane], '{retry}', '{1 hour}', '{x}')).verdict
     FROM vulkan.claim(1, 'w', 1) m",
    "SELECT (vulkan.extend('{1}', ARRAY[m.\"offset\"], ARRAY[m.token], ARRAY[m.lane])).token FROM vulkan.claim(1, 'w', 1) m",
    "SELECT * FROM vulkan.reap()",
    "SELECT * FROM vulkan.maintain()",
    "SELECT * FROM vulkan.worker_beat('w', 'i', version => '1')",
    "SELECT * FROM vulkan.worker_orders('w', 'i', '{1}')",
    "SELECT vulkan.drain_worker('w')",
    "SELECT vulkan.drain_workers('1')",
    "SELECT vulkan.worker_gone('w', 'i')",
    // Readers.
    "SELECT vulkan.commit_cursor(2, t.term, t.cursor) FROM vulkan.take_cursor(2, 'r') t",
    "SELECT * FROM vulkan.read_events(1, 0)",
    "SELECT vulkan.release_cursor(2, 1)",
    // Limits, under which a claim is another.
    "SELECT vulkan.set_limits('orders', 'g', max_in_flight => 5, rate => 100, prefix_delimiter => '/', max_in_flight_per_prefix => 1)",
    "SELECT vulkan.set_prefix_limit('orders', 'g', 'k', 1)",
    "SELECT vulkan.set_breaker('orders', 'g', failure_percent => 50)",
    "SELECT vulkan.publish_many('orders', '{a,b,c,d}', '{1,2,3,4}', partition_keys => '{k,NULL,k/1,l}')",
    "SELECT (vulkan.settle(1, '{}', '{}', ARRAY[m.\"offset\"], ARRAY[m.token], ARRAY[m.lane], '{dead}', '{NULL}', '{x}')).verdict
     FROM vulkan.claim(1, 'w', 3) m",
    "SELECT vulkan.reset_breaker('orders', 'g')",
    // Operators.
    "SELECT vulkan.pause('orders', 'g')",
    "SELECT vulkan.resume('orders', 'g')",
    "SELECT vulkan.skip('orders', 'g', 2)",
    "SELECT vulkan.redrive('orders', 'g', error_like => '%')",
    "SELECT vulkan.redrive('orders', 'g', kind_pattern => 'a.>')",
    "SELECT * FROM vulkan.replay('orders', 'g', to_position => 'earliest')",
    "SELECT * FROM vulkan.claim(1, 'w')",
    "SELECT * FROM vulkan.inspect(2)",
    "SELECT vulkan.group_backlog('orders', 'g'), vulkan.is_drained('orders', 'g'), vulkan.lag(1)",
    "SELECT * FROM vulkan.check()",
    "SELECT vulkan.roll_slot()",
    // Schedules.
    "SELECT vulkan.put_schedule('s', 'orders', 'tick', '{}', every => '1 hour')",
    "SELECT vulkan.put_schedule('c', 'orders', 'tick', '{}', cron => '* * * * *')",
    "SELECT vulkan.put_schedule('s', 'orders', 'tick', '[]', every => '1 second', missed => 'all')",
    "SELECT vulkan.plan_schedule(d.schedule, d.revision, '2000-01-01') FROM vulkan.due_schedules() d",
    "SELECT vulkan.fire_schedule(d.schedule, d.revision, d.due) FROM vulkan.due_schedules() d",
    "SELECT vulkan.fail_schedule(d.schedule, d.revision, 'x') FROM vulkan.due_schedules('1 day') d",
    "SELECT vulkan.run_schedule_now('s')",
    "SELECT vulkan.pause_schedule('s')",
    "SELECT vulkan.resume_schedule('s')",
    "SELECT vulkan.delete_schedule('s')",
    "SELECT * FROM vulkan.check()",
    "SELECT vulkan.settle(1)",
    "SELECT * FROM vulkan.reap()",
];

async fn does(session: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(session)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn caught(roles: &Roles, by: &str) -> Vec<String> {
    sqlx::query_scalar("SELECT DISTINCT what FROM public.caught WHERE by = $1 ORDER BY 1")
        .bind(by)
        .fetch_all(&roles.pool)
        .await
        .unwrap()
}

/// Somebody with a role, and a schema to put things into, shadows all that the functions might name.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_attacker_puts_in_the_way_is_never_met() {
    let mut roles = Roles::new().await;
    roles
        .run(
            "CREATE TABLE public.caught (by text, what text); GRANT ALL ON public.caught TO PUBLIC",
        )
        .await;
    let attacker = roles
        .login(&["publisher", "worker", "operator", "reader"])
        .await;
    let name = roles.newest().to_owned();
    let owner = format!("{}_owner", roles.prefix);
    roles
        .made(format!(
            "CREATE SCHEMA lair AUTHORIZATION {name}; GRANT USAGE ON SCHEMA lair TO PUBLIC;
             GRANT USAGE ON SEQUENCE vulkan.token_seq TO {name}; ALTER ROLE {name} SET track_functions = 'all'"
        ))
        .await;
    let mut session = attacker.acquire().await.unwrap();
    does(&mut session, include_str!("traps.sql")).await;
    does(&mut session, PROBE).await;
    let sprung = caught(&roles, &name).await;
    assert_eq!(sprung.join(" "), SPRUNG, "the traps that are good ones");
    roles.run("TRUNCATE public.caught").await;

    for call in CALLS {
        does(&mut session, call).await;
    }
    // What the attacker's own calls fall for would run as the attacker, who could do all that before.
    let fell: Vec<(String, String)> =
        sqlx::query_as("SELECT DISTINCT by, what FROM public.caught WHERE by <> $1 ORDER BY 1, 2")
            .bind(&name)
            .fetch_all(&roles.pool)
            .await
            .unwrap();
    assert!(fell.is_empty(), "somebody else's code ran: {fell:?}");

    // A function without its path falls into them at once.
    roles
        .run("ALTER FUNCTION vulkan.look RESET search_path")
        .await;
    let _ = sqlx::raw_sql("SELECT vulkan.look('{1}')")
        .execute(&mut *session)
        .await;
    assert!(
        !caught(&roles, &owner).await.is_empty(),
        "the traps catch nobody"
    );
    // All that runs as the owner was called. The server knows when the session has ended.
    session.close().await.unwrap();
    until("every function to have been called", async || {
        let missing: Vec<String> = roles
            .value(
                "SELECT coalesce(array_agg(p.oid::regprocedure::text ORDER BY 1), '{}') FROM pg_proc p
                 WHERE p.pronamespace = 'vulkan'::regnamespace AND p.prosecdef
                   AND NOT EXISTS (SELECT FROM pg_stat_user_functions s WHERE s.funcid = p.oid AND s.calls > 0)",
            )
            .await;
        if !missing.is_empty() {
            println!("not called: {missing:?}");
        }
        missing.is_empty()
    })
    .await;
    // Nor may the attacker put anything where the owner does look.
    for sql in [
        "CREATE TABLE vulkan.pg_class ()",
        "CREATE FUNCTION vulkan.format(text, integer) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
        "CREATE OPERATOR vulkan.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = pg_catalog.int4eq)",
        "CREATE FUNCTION pg_catalog.mine() RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    ] {
        assert_eq!(code(&attacker, sql).await, DENIED, "{sql}");
    }
    roles.check().await;
    attacker.close().await;
    run(&roles.pool, "DROP SCHEMA lair CASCADE".to_owned()).await;
    roles.end().await;
}
