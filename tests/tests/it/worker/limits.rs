//! Limits of a group, over all its workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use serde_json::json;
use sqlx::PgConnection;
use vulkan::{Breaker, Client, GroupOptions, HandlerOptions, Limit, Limits, Rate, Worker};

use super::support::{Gate, Process, Running, on, options, until};
use crate::support::{Publish, TestDb, within};

/// A poll that comes too late to help.
const HARDLY_EVER: Duration = Duration::from_secs(600);

/// The most that was ever in work at one moment, as others see it.
#[derive(Debug, Default)]
struct Most {
    samples: usize,
    all: i64,
    of_a_prefix: i64,
}

impl Most {
    async fn sample(&mut self, connection: &mut PgConnection, sql: &'static str) {
        let by_prefix: Vec<(Option<String>, i64)> =
            sqlx::query_as(sql).fetch_all(connection).await.unwrap();
        self.samples += 1;
        let all = by_prefix.iter().map(|(_, many)| *many).sum();
        self.all = self.all.max(all);
        let keyed = by_prefix.iter().filter(|(prefix, _)| prefix.is_some());
        let prefix = keyed.map(|(_, many)| *many).max().unwrap_or_default();
        self.of_a_prefix = self.of_a_prefix.max(prefix);
    }

    /// And that it was no test of idle workers: at least so many in work at one moment.
    fn assert_within_the_limits(&self, at_least: i64) {
        assert!(self.samples > 20, "{self:?}");
        assert!(self.all <= 10, "{self:?}");
        assert!(self.of_a_prefix <= 4, "{self:?}");
        assert!(self.all >= at_least, "{self:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_never_pass_the_limits() {
    const MESSAGES: i64 = 500;
    let db = TestDb::new().await;
    db.client()
        .await
        .ensure_group("orders", "limited", GroupOptions::default())
        .await
        .unwrap();
    // Most are short, some outlive their claim; two tenants, and some without a key.
    for n in 0..MESSAGES {
        let millis = if n % 20 == 0 { 400 } else { 10 + n % 30 };
        let work = Publish::new("work").payload(json!({ "millis": millis }));
        let work = match n % 5 {
            0 => work,
            1 => work.key(&format!("b:{}", n % 7)),
            _ => work.key(&format!("a:{n}")),
        };
        work.send(&db.pool).await;
    }
    let mut processes: Vec<_> = (0..8)
        .map(|_| Process::start_as(env!("CARGO_BIN_EXE_limited-worker"), &db.url()))
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let sampler = |mut connection, sql: &'static str| {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            let mut most = Most::default();
            while !over.load(SeqCst) {
                most.sample(&mut connection, sql).await;
            }
            most
        })
    };
    let by_engine = sampler(
        db.connect().await,
        "SELECT split_part(e.partition_key, ':', 1), count(*)
         FROM vulkan.deliveries d JOIN vulkan.events e ON e.\"offset\" = d.event_offset
         WHERE d.consumer_group = 'limited' AND d.status = 'processing' GROUP BY 1",
    );
    let by_handlers = sampler(
        db.connect().await,
        "SELECT CASE WHEN l.classid::integer <> 777000 + hashtext('') % 1000 THEN l.classid::text END, count(*)
         FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid BETWEEN 776001 AND 777999
         GROUP BY 1",
    );
    until("some to be done", || async {
        db.count("limited", "done").await > MESSAGES / 4
    })
    .await;
    processes[0].signal("KILL").await;
    processes[0].exit().await;
    // What it had counts until its leases have run out, and is handled again.
    for _ in 0..4 {
        let what = "more to be done, or all";
        let before = db.count("limited", "done").await;
        until(what, || async {
            let done = db.count("limited", "done").await;
            done == MESSAGES || done > before + MESSAGES / 5
        })
        .await;
    }
    db.until_done("limited", MESSAGES).await;
    over.store(true, SeqCst);
    // Between the claim and its handler a message is in flight, and holds no lock yet.
    for (sampler, at_least) in [(by_engine, 9), (by_handlers, 3)] {
        let most = within("the sampler to end", sampler).await.unwrap();
        most.assert_within_the_limits(at_least);
    }
    db.check().await;
}

/// What `paced-worker` asks for.
const RATE: u32 = 200;
const BURST: u32 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_by_several_processes() {
    let db = TestDb::new().await;
    db.run("SELECT vulkan.publish_many('orders', array_fill('n'::text, ARRAY[1050]), array_fill('null'::jsonb, ARRAY[1050]))")
        .await;
    let mut processes: Vec<_> = (0..4)
        .map(|_| Process::start_as(env!("CARGO_BIN_EXE_paced-worker"), &db.url()))
        .collect();
    db.until_done("paced", 1050).await;
    for process in &mut processes {
        process.signal("TERM").await;
        assert_eq!(process.exit().await.code(), Some(0));
    }
    let workers: i64 = db
        .value("SELECT count(DISTINCT worker) FROM vulkan.deliveries")
        .await;
    assert!(workers > 1, "one had them all");
    let seconds: f64 = db
        .value("SELECT extract(epoch FROM max(claimed_at) - min(claimed_at))::float8 FROM vulkan.deliveries")
        .await;
    let rate = f64::from(1050 - BURST) / seconds;
    let [least, most] = [0.95, 1.05].map(|share| share * f64::from(RATE));
    assert!((least..=most).contains(&rate), "{rate} a second");
    // Of any time, however short or long, and wherever it begins: what began in it beyond its share of the rate.
    let beyond: f64 = sqlx::query_scalar(
        "WITH claims AS (SELECT claimed_at AS at, count(*) AS many FROM vulkan.deliveries GROUP BY 1),
              sums AS (SELECT at, many, sum(many) OVER (ORDER BY at) AS upto FROM claims)
         SELECT max(b.upto - a.upto + a.many - $1 * extract(epoch FROM b.at - a.at))::float8
         FROM sums a JOIN sums b ON b.at >= a.at",
    )
    .bind(i32::try_from(RATE).unwrap())
    .fetch_one(&db.pool)
    .await
    .unwrap();
    // Times are in microseconds.
    assert!(beyond < f64::from(BURST) + 0.01, "{beyond} at once");
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_go_on_while_a_noisy_tenant_hangs() {
    let db = TestDb::new().await;
    let client = db.client().await;
    let (noise, mut noisy) = Gate::new();
    let (silence, mut quiet) = Gate::new();
    let options = options("tenants")
        .max_in_flight_per_prefix(3)
        .concurrency(8);
    let handler = on(options, move |delivery| {
        let (noise, silence) = (noise.clone(), silence.clone());
        let offset = delivery.offset();
        let is_noisy = delivery.key().is_some_and(|key| key.starts_with("noisy"));
        Box::pin(async move {
            if is_noisy {
                noise.pass(offset).await;
            } else {
                silence.tell(offset);
            }
            Ok(())
        })
    });
    sqlx::query(
        "SELECT vulkan.publish_many('orders', array_fill('n'::text, ARRAY[5000]), array_fill('1'::jsonb, ARRAY[5000]),
             (SELECT array_agg('noisy:' || n % 2500) FROM generate_series(1, 5000) n))",
    )
    .execute(&db.pool)
    .await
    .unwrap();
    let running = Running::start(db.worker().await.register(handler));
    noisy.take(3).await;
    for n in 0..50 {
        let offset = Publish::keyed(&format!("tenant-{n}:1"))
            .send(&db.pool)
            .await;
        assert_eq!(quiet.next().await, offset);
    }
    assert!(noisy.nothing_else());
    db.check().await;
    // An operator gives it more room, and then lets it go.
    client
        .set_prefix_limit("orders", "tenants", "noisy", Some(5))
        .await
        .unwrap();
    noisy.take(2).await;
    assert!(noisy.nothing_else());
    let unlimited = Limits {
        max_in_flight_per_prefix: Some(Limit::Off),
        ..Limits::default()
    };
    limit(&client, "tenants", unlimited).await;
    client
        .set_prefix_limit("orders", "tenants", "noisy", None)
        .await
        .unwrap();
    noisy.let_all_go();
    db.until_done("tenants", 5050).await;
    running.stop().await.unwrap();
    db.check().await;
}

async fn limit(client: &Client, group: &str, limits: Limits) {
    let options = GroupOptions {
        limits,
        ..GroupOptions::default()
    };
    client.ensure_group("orders", group, options).await.unwrap();
}

/// Nobody polls here: what ends makes room, and who made it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn who_makes_room_goes_on_at_once() {
    let db = TestDb::new().await;
    let handler = |options: HandlerOptions| on(options, |_| Box::pin(async { Ok(()) }));
    let builder = Worker::builder(db.client().await)
        .poll(HARDLY_EVER)
        .register(handler(options("one").max_in_flight(1)))
        .register(handler(options("each").max_in_flight_per_prefix(1)));
    for n in 0..40 {
        let message = Publish::new("n");
        let message = if n % 2 == 0 {
            message.key(&format!("t:{}", n % 5))
        } else {
            message
        };
        message.send(&db.pool).await;
    }
    let running = Running::start(builder);
    db.until_done("one", 40).await;
    db.until_done("each", 40).await;
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_rests_probes_and_goes_on() {
    let db = TestDb::new().await;
    let broken = Arc::new(AtomicBool::new(true));
    let breaker = Breaker {
        min_attempts: 4,
        pause: Duration::from_millis(300),
        max_pause: Duration::from_millis(600),
        ..Breaker::DEFAULT
    };
    let told = Arc::clone(&broken);
    let handler = on(
        options("fragile").retries(1000).breaker(breaker),
        move |_| {
            let broken = told.load(SeqCst);
            Box::pin(async move {
                if broken {
                    return Err("the other side is down".into());
                }
                Ok(())
            })
        },
    );
    for _ in 0..20 {
        Publish::new("n").send(&db.pool).await;
    }
    let client = db.client().await;
    let builder = Worker::builder(client.clone()).poll(HARDLY_EVER);
    let running = Running::start(builder.register(handler));
    // It opened, probed, and opened again.
    until("the breaker to open a third time", || async {
        db.value::<bool>("SELECT coalesce(max(trips) >= 3, false) FROM vulkan.breakers")
            .await
    })
    .await;
    let overview = client.overview().await.unwrap();
    assert_ne!(overview[0].breaker.as_deref(), Some("closed"));
    // While it is open, one attempt each pause, no more. Before, the first failures were too few to open it.
    let attempts: i64 = db
        .value("SELECT sum(d.attempts) - (SELECT b.trips FROM vulkan.breakers b) FROM vulkan.deliveries d")
        .await;
    assert!(attempts <= 20 + 4, "{attempts}");
    broken.store(false, SeqCst);
    db.until_done("fragile", 20).await;
    until("the breaker to be closed", || async {
        client.overview().await.unwrap()[0].breaker.as_deref() == Some("closed")
    })
    .await;
    running.stop().await.unwrap();
    db.check().await;
}

#[tokio::test]
async fn handlers_of_one_group_agree_on_its_limits() {
    let db = TestDb::new().await;
    let handler = |options: HandlerOptions| on(options, |_| Box::pin(async { Ok(()) }));
    let error = db
        .worker()
        .await
        .register(handler(
            options("one")
                .name("first")
                .kinds(["a"])
                .max_in_flight(1)
                .rate(Rate::a_second(5)),
        ))
        .register(handler(
            options("one").name("second").kinds(["b"]).max_in_flight(2),
        ))
        .register(handler(
            options("one")
                .name("third")
                .kinds(["c"])
                .rate(Rate::a_second(6)),
        ))
        .register(handler(options("other").name("fourth").max_in_flight(0)))
        .build()
        .unwrap_err();
    let mistakes: Vec<String> = error.mistakes().iter().map(ToString::to_string).collect();
    assert_eq!(
        mistakes,
        [
            "handler \"fourth\": max_in_flight is zero",
            "handlers \"first\" and \"second\" of group \"one\" disagree on max_in_flight",
            "handlers \"first\" and \"third\" of group \"one\" disagree on rate",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_set_kept_and_taken_away_by_a_client() {
    let db = TestDb::new().await;
    let client = db.client().await;
    let stored = || async {
        db.value::<String>(
            "SELECT concat_ws(' ', max_in_flight, max_in_flight_per_prefix, prefix_delimiter, rate, burst, failure_percent, probes)
             FROM vulkan.groups g LEFT JOIN vulkan.breakers b USING (group_id)",
        )
        .await
    };
    let all = Limits {
        max_in_flight: Some(Limit::At(100)),
        max_in_flight_per_prefix: Some(Limit::At(5)),
        prefix_delimiter: Some("/".into()),
        rate: Some(Limit::At("6000/m".parse().unwrap())),
        burst: Some(Limit::At(20)),
        breaker: Some(Limit::At(Breaker::DEFAULT)),
    };
    limit(&client, "audit", all).await;
    assert_eq!(stored().await, "100 5 / 100 20 50 1");
    limit(&client, "audit", Limits::default()).await;
    assert_eq!(stored().await, "100 5 / 100 20 50 1");
    let some = Limits {
        max_in_flight: Some(Limit::Off),
        rate: Some(Limit::Off),
        burst: Some(Limit::Off),
        breaker: Some(Limit::Off),
        ..Limits::default()
    };
    limit(&client, "audit", some).await;
    assert_eq!(stored().await, "5 /");
    let nothing = GroupOptions {
        limits: Limits {
            max_in_flight: Some(Limit::At(0)),
            ..Limits::default()
        },
        ..GroupOptions::default()
    };
    let refused = client.ensure_group("orders", "audit", nothing).await;
    assert!(
        matches!(refused, Err(vulkan::Error::Invalid(_))),
        "{refused:?}"
    );
}
