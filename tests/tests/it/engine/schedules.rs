use sqlx::Connection;
use sqlx::postgres::{PgDatabaseError, PgPool};

use crate::support::{TestDb, within};

/// Makes a schedule on stream `orders` that comes every ten seconds, and sets how many seconds ago it was due.
async fn ten_seconds(db: &TestDb, options: &str, due_ago: f64) {
    run(
        &db.pool,
        &format!(
            "SELECT vulkan.put_schedule('s', 'orders', 'tick', '{{}}', every => '10 seconds' {options});
             UPDATE vulkan.schedules SET next_at = date_trunc('second', clock_timestamp()) - make_interval(secs => {due_ago})"
        ),
    )
    .await;
}

async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(pool)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

const FIRE: &str =
    "SELECT vulkan.fire_schedule(s.name, s.revision, s.next_at) FROM vulkan.schedules s";

/// What firing the only schedule gives: nothing where it was not to be fired.
async fn fire(db: &TestDb) -> Option<Vec<i64>> {
    db.value(FIRE).await
}

/// How many seconds before the next tick each event was for, in log order.
async fn ticks(db: &TestDb) -> Vec<i32> {
    db.value(
        "SELECT coalesce(array_agg(extract(epoch FROM (e.headers ->> 'vulkan-scheduled-at')::timestamptz - s.next_at)::integer
                                   ORDER BY e.\"offset\"), '{}')
         FROM vulkan.events e, vulkan.schedules s WHERE e.headers ->> 'vulkan-schedule' = s.name",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_is_fired_when_it_is_due_and_once() {
    let db = TestDb::new().await;
    ten_seconds(&db, "", -5.0).await;
    assert_eq!(fire(&db).await, None, "it is not due yet");
    db.run("UPDATE vulkan.schedules SET next_at = clock_timestamp()")
        .await;
    let due = "SELECT array_agg(schedule) FROM vulkan.due_schedules() WHERE due <= now";
    assert_eq!(db.value::<Vec<String>>(due).await, ["s"]);
    let fired = fire(&db).await.unwrap();
    assert_eq!(fired.len(), 1);
    assert_eq!(ticks(&db).await, [-10]);
    assert_eq!(fire(&db).await, None);
    assert_eq!(db.value::<Option<Vec<String>>>(due).await, None);
    let last: i64 = db
        .value("SELECT last_offset FROM vulkan.schedule_overview WHERE last_at = next_at - interval '10 seconds'")
        .await;
    assert_eq!(last, fired[0]);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_ticks_are_treated_by_policy() {
    for (options, due_ago, expected) in [
        // Due 35 seconds ago: so were the ticks 25, 15 and 5 seconds ago.
        ("", 35.0, &[-10][..]),
        (", missed => 'latest'", 3_600.0 * 24.0 * 365.0, &[-10]),
        (", missed => 'all'", 35.0, &[-40, -30, -20, -10]),
        (
            ", missed => 'all', catch_up => 2",
            3_600.0 * 24.0 * 365.0,
            &[-20, -10],
        ),
        (", missed => 'skip'", 35.0, &[-10]),
        (", missed => 'skip', grace => '1 second'", 5.0, &[]),
        (", missed => 'skip', grace => '1 second'", 35.0, &[]),
    ] {
        let db = TestDb::new().await;
        ten_seconds(&db, options, due_ago).await;
        let fired = fire(&db).await.unwrap();
        assert_eq!(fired.len(), expected.len(), "{options}");
        assert_eq!(ticks(&db).await, expected, "{options}");
        let rhythm: bool = db
            .value(
                "SELECT next_at > clock_timestamp() AND next_at <= clock_timestamp() + interval '10 seconds'
                 FROM vulkan.schedules",
            )
            .await;
        assert!(rhythm, "{options}");
        assert_eq!(fire(&db).await, None, "{options}");
        db.check().await;
    }
}

/// For cron, who fires says what the ticks are.
#[tokio::test(flavor = "multi_thread")]
async fn given_ticks_are_treated_by_the_same_policies() {
    let call = "SELECT vulkan.fire_schedule('s', 1, s.next_at,
            ARRAY[s.next_at, s.next_at + interval '7 s', s.next_at + interval '20 s'], s.next_at + interval '100 s')
         FROM vulkan.schedules s";
    for (options, expected) in [
        (", missed => 'latest'", &[-80][..]),
        (", missed => 'all'", &[-100, -93, -80]),
        (", missed => 'all', catch_up => 2", &[-93, -80]),
        (", missed => 'skip'", &[-80]),
        (", missed => 'skip', grace => '1 second'", &[]),
    ] {
        let db = TestDb::new().await;
        run(
            &db.pool,
            &format!(
                "SELECT vulkan.put_schedule('s', 'orders', 'tick', '{{}}', cron => '* * * * *' {options});
                 UPDATE vulkan.schedules SET next_at = date_trunc('second', clock_timestamp()) - interval '30 s'"
            ),
        )
        .await;
        let fired: Vec<i64> = db.value(call).await;
        assert_eq!(fired.len(), expected.len(), "{options}");
        assert_eq!(ticks(&db).await, expected, "{options}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_cannot_be_are_refused() {
    let db = TestDb::new().await;
    db.run(
        "SELECT vulkan.put_schedule('s', 'orders', 'tick', '{}', cron => '* * * * *');
         UPDATE vulkan.schedules SET next_at = clock_timestamp() - interval '30 s'",
    )
    .await;
    // One connection: an error is told a moment before its row lock is gone, and who finds that gives up.
    let mut connection = db.connect().await;
    for arguments in [
        // Neither ticks nor the next.
        "NULL, NULL",
        "ARRAY[s.next_at], NULL",
        "NULL, clock_timestamp()",
        // One before what is due, one in the future, and a next that is none.
        "ARRAY[s.next_at - interval '1 s'], clock_timestamp()",
        "ARRAY[s.next_at, clock_timestamp() + interval '1 minute'], clock_timestamp() + interval '1 hour'",
        "ARRAY[s.next_at], s.next_at",
        "ARRAY[s.next_at, NULL], clock_timestamp()",
    ] {
        let sql = format!(
            "SELECT vulkan.fire_schedule('s', 1, s.next_at, {arguments}) FROM vulkan.schedules s"
        );
        let error = sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .expect_err(arguments);
        let error = error.into_database_error().unwrap();
        assert_eq!(
            error.code().as_deref(),
            Some("VK003"),
            "{arguments}: {error}"
        );
    }
    let events: i64 = db.value("SELECT count(*) FROM vulkan.events").await;
    assert_eq!(events, 0);
}

/// Who dies in the middle has done nothing, and meanwhile nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_fire_one_does_and_one_that_dies_has_not() {
    let db = TestDb::new().await;
    ten_seconds(&db, "", 0.0).await;
    let mut dying = db.connect().await;
    let mut open = dying.begin().await.unwrap();
    let fired: Option<Vec<i64>> = sqlx::query_scalar(FIRE)
        .fetch_one(&mut *open)
        .await
        .unwrap();
    assert_eq!(fired.unwrap().len(), 1);
    let other = within("the second to give up", fire(&db)).await;
    assert_eq!(other, None);
    open.rollback().await.unwrap();
    assert_eq!(fire(&db).await.unwrap().len(), 1);
    assert_eq!(ticks(&db).await, [-10]);

    db.run("UPDATE vulkan.schedules SET next_at = clock_timestamp()")
        .await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let pool = db.pool.clone();
        callers.spawn(async move {
            let fired: Option<Vec<i64>> = sqlx::query_scalar(FIRE).fetch_one(&pool).await.unwrap();
            fired.into_iter().flatten().count()
        });
    }
    let fired = within("all of them", callers.join_all()).await;
    assert_eq!(fired.into_iter().sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_definition_changes_nothing() {
    let db = TestDb::new().await;
    let put = |rest: &str| {
        let sql = format!("SELECT vulkan.put_schedule('s', 'orders', {rest})");
        let pool = db.pool.clone();
        async move {
            let changed: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .fetch_one(&pool)
                .await
                .unwrap();
            changed
        }
    };
    let stand = async || -> (i64, Option<String>, Option<String>) {
        sqlx::query_as("SELECT revision, next_at::text, cron FROM vulkan.schedules")
            .fetch_one(&db.pool)
            .await
            .unwrap()
    };
    assert!(put("'tick', '1', every => '1 hour'").await);
    let first = stand().await;
    assert!(!put("'tick', '1', every => '60 minutes'").await);
    assert_eq!(stand().await, first);

    // Another event at the same times.
    assert!(put("'tick', '2', every => '1 hour', missed => 'all', headers => '{\"a\": 1}'").await);
    let second = stand().await;
    assert!(second.0 > first.0 && second.1 == first.1);

    // Another timing begins anew.
    assert!(put("'tick', '2', every => '2 hours'").await);
    let third = stand().await;
    assert!(third.0 > second.0 && third.1 != second.1);
    assert!(put("'tick', '2', cron => '0 3 * * *'").await);
    assert_eq!(stand().await.1, None, "whoever knows cron has to say");
    let planned = "SELECT vulkan.plan_schedule('s', revision, clock_timestamp() + interval '1 hour') FROM vulkan.schedules";
    assert!(db.value::<bool>(planned).await);
    assert!(!db.value::<bool>(planned).await);
    assert!(put("'tick', '2', cron => '0 3 * * *', time_zone => 'Europe/Zurich'").await);
    assert_eq!(stand().await.1, None);
}

/// Deleted and made anew, it is another schedule, though it has the same name.
#[tokio::test]
async fn what_was_computed_for_a_deleted_schedule_is_not_planned() {
    let db = TestDb::new().await;
    let put = "SELECT vulkan.put_schedule('s', 'orders', 'n', '1', cron => '0 0 * * *')";
    db.run(put).await;
    let revision: i64 = db.value("SELECT revision FROM vulkan.schedules").await;
    db.run("SELECT vulkan.delete_schedule('s')").await;
    db.run(put).await;
    let planned: bool = sqlx::query_scalar(
        "SELECT vulkan.plan_schedule('s', $1, clock_timestamp() + interval '1 hour')",
    )
    .bind(revision)
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert!(!planned);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_computed_by_an_old_definition_is_not_fired() {
    let db = TestDb::new().await;
    ten_seconds(&db, "", 5.0).await;
    let (revision, due): (i64, String) =
        sqlx::query_as("SELECT revision, next_at::text FROM vulkan.schedules")
            .fetch_one(&db.pool)
            .await
            .unwrap();
    db.run("SELECT vulkan.put_schedule('s', 'orders', 'other', '{}', every => '10 seconds')")
        .await;
    let fire_at = async |revision: i64| -> Option<Vec<i64>> {
        sqlx::query_scalar("SELECT vulkan.fire_schedule('s', $1, $2::timestamptz)")
            .bind(revision)
            .bind(&due)
            .fetch_one(&db.pool)
            .await
            .unwrap()
    };
    assert_eq!(fire_at(revision).await, None);
    let revision: i64 = db.value("SELECT revision FROM vulkan.schedules").await;
    assert_eq!(fire_at(revision).await.unwrap().len(), 1);
    let kind: String = db.value("SELECT kind FROM vulkan.events").await;
    assert_eq!(kind, "other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_schedule_misses_nothing() {
    let db = TestDb::new().await;
    ten_seconds(&db, ", missed => 'all'", 35.0).await;
    assert!(db.value::<bool>("SELECT vulkan.pause_schedule('s')").await);
    assert!(!db.value::<bool>("SELECT vulkan.pause_schedule('s')").await);
    assert_eq!(fire(&db).await, None);
    let due: i64 = db
        .value("SELECT count(*) FROM vulkan.due_schedules()")
        .await;
    assert_eq!(due, 0);
    // A definition put meanwhile leaves it paused.
    db.run("SELECT vulkan.put_schedule('s', 'orders', 'tick', '{}', every => '10 seconds')")
        .await;
    assert_eq!(fire(&db).await, None);
    let before: i64 = db
        .value("SELECT extract(epoch FROM next_at)::bigint FROM vulkan.schedules")
        .await;
    assert!(db.value::<bool>("SELECT vulkan.resume_schedule('s')").await);
    assert!(!db.value::<bool>("SELECT vulkan.resume_schedule('s')").await);
    assert_eq!(fire(&db).await, None);
    let after: i64 = db
        .value("SELECT extract(epoch FROM next_at)::bigint FROM vulkan.schedules")
        .await;
    assert!(
        after >= before + 40 && (after - before) % 10 == 0,
        "{before} {after}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_can_be_run_now_beside_its_ticks() {
    let db = TestDb::new().await;
    ten_seconds(
        &db,
        ", headers => '{\"a\": \"b\"}', partition_key => 'k'",
        -60.0,
    )
    .await;
    db.run("SELECT vulkan.pause_schedule('s')").await;
    let before: String = db.value("SELECT s::text FROM vulkan.schedules s").await;
    let offset: i64 = db.value("SELECT vulkan.run_schedule_now('s')").await;
    let event: (i64, String, String, String, bool) = sqlx::query_as(
        "SELECT \"offset\", kind, partition_key, headers ->> 'a',
                (headers ->> 'vulkan-scheduled-at')::timestamptz BETWEEN created_at AND clock_timestamp()
         FROM vulkan.events WHERE headers ->> 'vulkan-schedule' = 's'",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!(event, (offset, "tick".into(), "k".into(), "b".into(), true));
    assert_eq!(
        db.value::<String>("SELECT s::text FROM vulkan.schedules s")
            .await,
        before
    );
    assert!(db.value::<bool>("SELECT vulkan.delete_schedule('s')").await);
    assert!(!db.value::<bool>("SELECT vulkan.delete_schedule('s')").await);
}

/// One that cannot be fired is noted, and left alone for a minute; the look is not filled up with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_one_stands_in_nobodys_way() {
    let db = TestDb::new().await;
    db.run(
        "SELECT vulkan.put_schedule('bad-' || n, 'orders', 'tick', '{}', cron => 'nonsense') FROM generate_series(1, 3) n;
         SELECT vulkan.put_schedule('old-' || n, 'orders', 'tick', '{}', every => '1 hour') FROM generate_series(1, 3) n;
         UPDATE vulkan.schedules SET next_at = clock_timestamp() - interval '1 hour' WHERE name LIKE 'old%';
         SELECT vulkan.put_schedule('good', 'orders', 'tick', '{}', every => '1 second')",
    )
    .await;
    let seen =
        "SELECT array_agg(schedule ORDER BY schedule) FROM vulkan.due_schedules(at_most => 3)";
    let names: Vec<String> = db.value(seen).await;
    assert_eq!(
        names,
        ["bad-1", "bad-2", "bad-3", "old-1", "old-2", "old-3"]
    );
    db.run("SELECT vulkan.fail_schedule(name, revision, 'why') FROM vulkan.schedules WHERE name <> 'good'")
        .await;
    assert_eq!(db.value::<Vec<String>>(seen).await, ["good"]);
    let told: i64 = db
        .value("SELECT count(*) FROM vulkan.schedule_overview WHERE last_error = 'why'")
        .await;
    assert_eq!(told, 6);
    // A new definition is given its chance at once.
    db.run("SELECT vulkan.put_schedule('bad-1', 'orders', 'tick', '{}', cron => '0 3 * * *')")
        .await;
    assert_eq!(db.value::<Vec<String>>(seen).await, ["bad-1", "good"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_schedule_is_refused_with_a_code_and_a_hint() {
    let db = TestDb::new().await;
    for (sql, code) in [
        (
            "SELECT vulkan.put_schedule('s', 'nowhere', 'n', '{}', every => '1 hour')",
            "VK001",
        ),
        (
            "SELECT vulkan.put_schedule('S', 'orders', 'n', '{}', every => '1 hour')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule(NULL, 'orders', 'n', '{}', every => '1 hour')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'a..b', '{}', every => '1 hour')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', '0 3 * * *', '1 hour')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', cron => '')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '999 ms')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '1 month')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '1 year')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '-1 hour')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', '0 3 * * *', time_zone => 'Mars/Olympus')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '1 hour', time_zone => NULL)",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '1 hour', missed => 'none')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '1 hour', grace => '0')",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '1 hour', catch_up => 0)",
            "VK003",
        ),
        (
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '1 hour', headers => '[]')",
            "VK003",
        ),
        ("SELECT vulkan.pause_schedule('s')", "VK008"),
        ("SELECT vulkan.resume_schedule('s')", "VK008"),
        ("SELECT vulkan.run_schedule_now('s')", "VK008"),
    ] {
        let error = sqlx::query(sql).execute(&db.pool).await.expect_err(sql);
        let error = error.into_database_error().expect(sql);
        assert_eq!(error.code().as_deref(), Some(code), "{sql}: {error}");
        let error = error.downcast::<PgDatabaseError>();
        assert!(error.hint().is_some(), "{sql}");
    }
    let schedules: i64 = db.value("SELECT count(*) FROM vulkan.schedules").await;
    assert_eq!(schedules, 0);
}

/// A day is 24 hours, whatever the session's time zone thinks of it.
/// Two headers come with each tick: a schedule that could never fire is refused when it is put.
#[tokio::test(flavor = "multi_thread")]
async fn its_headers_leave_room_for_those_of_a_tick() {
    let db = TestDb::new().await;
    for (headers, fits) in [(62, true), (63, false), (64, false)] {
        let put = sqlx::query(
            "SELECT vulkan.put_schedule('s', 'orders', 'n', '{}', every => '1 hour',
                 headers => (SELECT jsonb_object_agg('h' || n, 'v') FROM generate_series(1, $1) n))",
        )
        .bind(headers)
        .execute(&db.pool)
        .await;
        match put {
            Ok(_) => assert!(fits, "{headers}"),
            Err(error) => {
                assert!(!fits, "{error}");
                assert_eq!(error.as_database_error().unwrap().code().unwrap(), "VK003");
            }
        }
        db.run("SELECT vulkan.run_schedule_now('s')").await;
    }
    let code = db
        .code("UPDATE vulkan.schedules SET next_at = 'infinity'")
        .await;
    assert_eq!(code, "VK003");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_does_not_follow_the_clock_on_the_wall() {
    let db = TestDb::new().await;
    let after: Vec<String> = db
        .value(
            "SELECT array_agg(extract(epoch FROM vulkan.tick_after(s, from_tick, after) - from_tick)::text ORDER BY n)
             FROM (SELECT set_config('TimeZone', 'Europe/Zurich', true)) z,
                  (SELECT (jsonb_populate_record(NULL::vulkan.schedules, '{\"every\": \"1 day\"}')).*) AS s,
                  (VALUES (1, '2026-03-28 12:00Z'::timestamptz, '2026-03-28 12:00Z'::timestamptz),
                          (2, '2026-03-28 12:00Z', '2026-04-28 11:59:59.999999Z'),
                          (3, '2026-03-28 12:00Z', '2026-04-28 12:00Z')) AS v(n, from_tick, after)",
        )
        .await;
    assert_eq!(after, ["86400.000000", "2678400.000000", "2764800.000000"]);
}
