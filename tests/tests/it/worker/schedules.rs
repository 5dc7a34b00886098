use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use serde_json::json;
use sqlx::PgPool;
use vulkan::{BuildError, Client, Message, Missed, Mistake, Schedule, Worker, WorkerEvent};
use vulkan_devpg::Postgres;

use super::support::{Process, Running, on, options, until};
use crate::support::TestDb;

fn event() -> Message {
    Message::new("orders", "tick", &json!({})).unwrap()
}

impl TestDb {
    /// What each schedule has published, by the time it was for, in log order.
    async fn ticks(&self) -> BTreeMap<String, Vec<DateTime<Utc>>> {
        ticks_of(&self.pool).await.unwrap()
    }
    async fn until_ticked(&self, schedule: &str, times: usize) -> Vec<DateTime<Utc>> {
        until(&format!("{times} ticks of {schedule}"), || async {
            let ticks = self.ticks().await;
            ticks.get(schedule).map_or(0, Vec::len) >= times
        })
        .await;
        self.ticks().await.remove(schedule).unwrap()
    }
}

async fn ticks_of(pool: &PgPool) -> sqlx::Result<BTreeMap<String, Vec<DateTime<Utc>>>> {
    let rows: Vec<(String, DateTime<Utc>)> = sqlx::query_as(
        "SELECT headers ->> 'vulkan-schedule', (headers ->> 'vulkan-scheduled-at')::timestamptz
         FROM vulkan.events WHERE headers ? 'vulkan-schedule' ORDER BY \"offset\"",
    )
    .fetch_all(pool)
    .await?;
    let mut ticks = BTreeMap::<_, Vec<_>>::new();
    for (schedule, tick) in rows {
        ticks.entry(schedule).or_default().push(tick);
    }
    Ok(ticks)
}

fn steps(ticks: &[DateTime<Utc>]) -> Vec<i64> {
    let pairs = ticks.windows(2);
    pairs
        .map(|pair| (pair[1] - pair[0]).num_milliseconds())
        .collect()
}

/// Three workers, of which one is killed at any moment and another takes its place, many times about the
/// very tick: no tick is lost, and none comes twice.
#[tokio::test(flavor = "multi_thread")]
async fn each_tick_comes_once_whoever_is_killed() {
    let db = TestDb::new().await;
    let client = db.client().await;
    for (name, schedule) in [
        ("cron", Schedule::cron("cron", "* * * * * *")),
        (
            "two",
            Schedule::cron("two", "*/2 * * * * *").time_zone("Asia/Kathmandu"),
        ),
        ("every", Schedule::every("every", Duration::from_secs(1))),
    ] {
        let schedule = schedule.missed(Missed::All).event(event());
        assert!(client.put_schedule(&schedule).await.unwrap(), "{name}");
    }
    let url = db.url();
    let mut workers: Vec<_> = (0..3).map(|_| Process::start(&url)).collect();
    let mut killed = 0;
    while db.ticks().await.get("cron").map_or(0, Vec::len) < 15 {
        let wait = if killed % 2 == 0 {
            // About the tick of the second.
            let next = 1_000 - Utc::now().timestamp_subsec_millis();
            (next + 995 + rand::rng().random_range(0..20)) % 1_000
        } else {
            rand::rng().random_range(0..500)
        };
        tokio::time::sleep(Duration::from_millis(wait.into())).await;
        let nth = rand::rng().random_range(0..3);
        workers[nth].signal("KILL").await;
        assert_eq!(workers[nth].exit().await.code(), None);
        workers[nth] = Process::start(&url);
        killed += 1;
    }
    drop(workers);
    assert!(killed >= 5, "{killed}");
    for (name, ticks) in db.ticks().await {
        let step = if name == "two" { 2_000 } else { 1_000 };
        let steps = steps(&ticks);
        assert!(
            steps.iter().all(|found| *found == step),
            "{name}: {steps:?}"
        );
    }
    db.check().await;
}

/// The server crashes between ticks and in the middle of them, and is away for a while.
#[tokio::test(flavor = "multi_thread")]
async fn no_tick_is_lost_or_doubled_by_a_crash_of_the_server() {
    let mut postgres = Postgres::start_private(vulkan_devpg::FAST).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    client.migrate().await.unwrap();
    client.create_stream("orders").await.unwrap();
    let schedule = Schedule::cron("cron", "* * * * * *").missed(Missed::All);
    let workers: Vec<_> = [(); 2]
        .map(|()| {
            let worker = Worker::builder(client.clone()).schedule(schedule.clone().event(event()));
            Running::start(worker)
        })
        .into();
    for round in 1..=2_u32 {
        let many = usize::try_from(3 * round).unwrap();
        let ticks = async || ticks_of(client.pool()).await.ok()?.remove("cron");
        until("ticks", || async {
            ticks().await.map_or(0, |ticks| ticks.len()) >= many
        })
        .await;
        let next = 1_000 - Utc::now().timestamp_subsec_millis();
        tokio::time::sleep(Duration::from_millis(u64::from(next * (round - 1)))).await;
        postgres.crash().await.unwrap();
        postgres.restart().await.unwrap();
    }
    let ticks = async || ticks_of(client.pool()).await.ok()?.remove("cron");
    until("ticks", || async {
        ticks().await.map_or(0, |ticks| ticks.len()) >= 10
    })
    .await;
    let ticks = ticks().await.unwrap();
    assert!(steps(&ticks).iter().all(|step| *step == 1_000), "{ticks:?}");
    for worker in workers {
        worker.stop().await.unwrap();
    }
    client.pool().close().await;
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_puts_its_schedules_and_fires_them_on_time() {
    let db = TestDb::new().await;
    let often = Schedule::every("often", Duration::from_secs(1))
        .event(Message::new("not-there-yet", "tick", &1).unwrap());
    // A worker of nothing but schedules.
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let worker = db.worker().await.schedule(often).on_event(move |event| {
        if let WorkerEvent::ScheduleFired {
            schedule, offsets, ..
        } = event
        {
            let _ = tell.send((schedule.to_string(), offsets.to_vec()));
        }
    });
    let worker = Running::start(worker);
    let ticks = db.until_ticked("often", 3).await;
    assert!(steps(&ticks).iter().all(|step| *step == 1_000), "{ticks:?}");
    let late: Vec<f64> = db
        .value(
            "SELECT array_agg(extract(epoch FROM created_at - (headers ->> 'vulkan-scheduled-at')::timestamptz)::float8)
             FROM vulkan.events",
        )
        .await;
    assert!(
        late.iter().all(|late| (0.0..0.9).contains(late)),
        "{late:?}"
    );
    worker.stop().await.unwrap();
    let offsets: Vec<i64> = db
        .value("SELECT array_agg(\"offset\" ORDER BY \"offset\") FROM vulkan.events")
        .await;
    let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    // The worker may have ended between the last tick and the telling of it.
    assert!(told.len() + 1 >= offsets.len(), "{told:?} of {offsets:?}");
    for (told, offset) in told.into_iter().zip(offsets) {
        assert_eq!(told, ("often".into(), vec![offset]));
    }
}

/// Put by others, also by SQL alone: no worker need be restarted, and none waits for its poll.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_meanwhile_is_fired_too_and_what_is_bad_is_told() {
    let db = TestDb::new().await;
    db.run("SELECT vulkan.put_schedule('bad', 'orders', 'tick', '{}', cron => '0 25 * * *')")
        .await;
    let worker = Running::start(
        db.worker()
            .await
            .register(on(options("g"), |_| Box::pin(async { Ok(()) }))),
    );
    until("the bad one to be told of", || async {
        let sql = "SELECT last_error LIKE 'the hour \"25\" of cron expression%' FROM vulkan.schedule_overview";
        db.value::<Option<bool>>(sql).await == Some(true)
    })
    .await;
    let put_at = Utc::now();
    db.run("SELECT vulkan.put_schedule('cron', 'orders', 'tick', '{}', cron => '* * * * * *')")
        .await;
    let ticks = db.until_ticked("cron", 2).await;
    assert!(
        ticks[0] - put_at < TimeDelta::seconds(2),
        "{put_at} {ticks:?}"
    );
    assert_eq!(steps(&ticks[..2]), [1_000]);
    worker.stop().await.unwrap();
}

/// While no worker ran, ticks were missed.
#[tokio::test(flavor = "multi_thread")]
async fn missed_ticks_are_made_up_for_by_policy() {
    let db = TestDb::new().await;
    let client = db.client().await;
    for (name, missed) in [
        ("all", Missed::All),
        ("latest", Missed::Latest),
        ("skip", Missed::Skip),
    ] {
        let schedule = Schedule::cron(name, "0 0 * * *")
            .missed(missed)
            .event(event());
        client.put_schedule(&schedule).await.unwrap();
    }
    // Grace is a minute: at midnight nobody could tell whether the newest is skipped.
    db.run(
        "UPDATE vulkan.schedules SET grace = interval '1 microsecond', catch_up = 5,
             next_at = date_trunc('day', clock_timestamp(), 'UTC') - interval '6 days'",
    )
    .await;
    let worker = Running::start(
        db.worker()
            .await
            .register(on(options("g"), |_| Box::pin(async { Ok(()) }))),
    );
    until("all to be on time again", || async {
        let sql = "SELECT bool_and(next_at > clock_timestamp()) FROM vulkan.schedules";
        db.value::<bool>(sql).await
    })
    .await;
    let ticks = db.ticks().await;
    assert_eq!(ticks["all"].len(), 5);
    assert!(
        steps(&ticks["all"])
            .iter()
            .all(|step| *step == 24 * 3_600 * 1_000)
    );
    assert_eq!(ticks["latest"], ticks["all"][4..]);
    assert!(!ticks.contains_key("skip"));
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_changes_while_it_fires() {
    let db = TestDb::new().await;
    let client = db.client().await;
    let schedule = |kind: &str, every| {
        let event = Message::new("orders", kind, &json!({})).unwrap();
        Schedule::every("s", every).missed(Missed::All).event(event)
    };
    let second = Duration::from_secs(1);
    client.put_schedule(&schedule("k0", second)).await.unwrap();
    let worker = Running::start(
        db.worker()
            .await
            .register(on(options("g"), |_| Box::pin(async { Ok(()) }))),
    );
    // Another event each time it is put, while it ticks on.
    let mut puts = 0;
    while db.ticks().await.get("s").map_or(0, Vec::len) < 4 {
        puts += 1;
        client
            .put_schedule(&schedule(&format!("k{puts}"), second))
            .await
            .unwrap();
    }
    let ticks = db.ticks().await.remove("s").unwrap();
    assert!(steps(&ticks).iter().all(|step| *step == 1_000), "{ticks:?}");

    // Another timing, and then a pause.
    client
        .put_schedule(&schedule("slow", 2 * second))
        .await
        .unwrap();
    let before = db.ticks().await["s"].len();
    let ticks = db.until_ticked("s", before + 2).await;
    assert_eq!(steps(&ticks[before..][..2]), [2_000]);
    client.pause_schedule("s").await.unwrap();
    let paused = db.ticks().await["s"].len();
    client
        .put_schedule(&Schedule::every("other", second).event(event()))
        .await
        .unwrap();
    db.until_ticked("other", 3).await;
    assert_eq!(db.ticks().await["s"].len(), paused);
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_schedules_are_told_when_the_worker_is_built() {
    let db = TestDb::new().await;
    let good = || Schedule::every("s", Duration::from_secs(1)).event(event());
    let error: BuildError = Worker::builder(db.client().await)
        .schedule(good())
        .schedule(good())
        .schedule(Schedule::cron("c", "0 25 * * *"))
        .build()
        .unwrap_err();
    let [same, cron, none] = error.mistakes() else {
        panic!("{error}");
    };
    assert!(matches!(same, Mistake::SameSchedule { schedule } if schedule == "s"));
    assert!(
        cron.to_string()
            .starts_with("schedule \"c\": the hour \"25\""),
        "{cron}"
    );
    assert!(
        none.to_string()
            .starts_with("schedule \"c\": it has no event"),
        "{none}"
    );
}
