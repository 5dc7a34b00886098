use std::fmt::Debug;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use vulkan::{Client, DryRun, Error, GroupOptions, Message, Redrive, Schedule, Start};

use super::support::Roles;
use crate::support::TestDb;

/// What has broken somebody's quoting, sorting, comparing or logging.
const HOSTILE: [&str; 44] = [
    "",
    " ",
    "'",
    "\"",
    "''",
    "\"\"",
    "\\",
    "\\'",
    "$$",
    "$1",
    "%",
    "%s",
    "%I",
    "{}",
    "{",
    ";",
    "--",
    "/*",
    "*/",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "a\0b",
    "'; DROP TABLE vulkan.events; --",
    "\"; DROP SCHEMA vulkan CASCADE; --",
    "tab'le",
    "x') OR ('1'='1",
    "NULL",
    "null",
    "vulkan.events",
    "pg_catalog",
    "pg_temp",
    "public.x",
    ".",
    "..",
    ">",
    "*",
    // Look-alikes: a Cyrillic o, full width, a combining accent, right to left, no width, another İ.
    "\u{43e}rders",
    "\u{ff4f}rders",
    "o\u{301}rders",
    "\u{202e}sredro",
    "or\u{200b}ders",
    "İI\u{131}i",
];

fn any(rng: &mut StdRng) -> String {
    let mut name = String::new();
    for _ in 0..rng.random_range(1..4) {
        match rng.random_range(0..6) {
            0 => name.push(char::from(rng.random_range(0..=127_u8))),
            1 => name.push(rng.random()),
            2 => name += &"n".repeat([62, 63, 64, 127, 128, 129, 300][rng.random_range(0..7)]),
            3 => name += "orders",
            _ => name += HOSTILE[rng.random_range(0..HOSTILE.len())],
        }
    }
    name
}

/// It works, or it is refused as what it is: never an error of SQL's own, which would mean that a name was taken for more.
fn told<T: Debug>(what: &str, name: &str, answer: Result<T, Error>) {
    match answer {
        Err(Error::Database(error)) => panic!("{what} of {name:?}: {error:?}"),
        Err(error) => assert!(!error.is_transient(), "{what} of {name:?}: {error:?}"),
        Ok(_) => {}
    }
}

/// All that there is but for rows.
const CATALOG: &str = "
    SELECT string_agg(x.line, ',' ORDER BY x.line) FROM (
        SELECT 'n' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
        UNION ALL SELECT 'r' || relname FROM pg_class WHERE relnamespace IN ('vulkan'::regnamespace, 'public'::regnamespace)
            AND relname !~ '^events_[0-9]'
        UNION ALL SELECT 'p' || oid::regprocedure FROM pg_proc WHERE pronamespace IN ('vulkan'::regnamespace, 'public'::regnamespace)
        UNION ALL SELECT 'a' || rolname FROM pg_roles WHERE rolname LIKE 'orders%' OR rolname LIKE 'tab%') x(line)";

async fn through_the_client(client: &Client, name: &str) {
    let message = || Message::new("orders", "n", &1).unwrap();
    told("stream", name, client.create_stream(name).await);
    told("stream_id", name, client.stream_id(name).await);
    let options = GroupOptions::default;
    told(
        "group",
        name,
        client.ensure_group("orders", name, options()).await,
    );
    told(
        "group's stream",
        name,
        client.ensure_group(name, "g", options()).await,
    );
    told(
        "kind",
        name,
        client
            .publish(Message::new("orders", name, &1).unwrap())
            .await,
    );
    told(
        "to",
        name,
        client.publish(Message::new(name, "n", &1).unwrap()).await,
    );
    told("key", name, client.publish(message().key(name)).await);
    told(
        "dedup id",
        name,
        client.publish_once(message().dedup_id(name)).await,
    );
    told(
        "header",
        name,
        client
            .publish(message().header(name, "v").header("h", name))
            .await,
    );
    told(
        "payload",
        name,
        client
            .publish(Message::new("orders", "n", name).unwrap())
            .await,
    );
    let batch = [
        message().key(name),
        message().header(name, name).dedup_id(name),
    ];
    told("batch", name, client.publish_many(batch).await);
    let load = [
        message().key(name),
        Message::new("orders", name, &1).unwrap(),
    ];
    told("load", name, client.load(load).await);
    told("loader", name, client.loader(name).await);
    told("pause", name, client.pause(name, "g", DryRun::No).await);
    told(
        "resume",
        name,
        client.resume("orders", name, DryRun::No).await,
    );
    told(
        "skip",
        name,
        client.skip("orders", "g", 1, Some(name), DryRun::No).await,
    );
    told(
        "cancel",
        name,
        client
            .cancel("orders", name, 1, Some(name), DryRun::No)
            .await,
    );
    let like = Redrive {
        error_like: Some(name.to_owned()),
        ..Redrive::default()
    };
    told(
        "redrive",
        name,
        client.redrive("orders", "g", like, DryRun::No).await,
    );
    told(
        "prefix",
        name,
        client.set_prefix_limit("orders", "g", name, Some(3)).await,
    );
    told(
        "reset_breaker",
        name,
        client.reset_breaker("orders", name).await,
    );
    told(
        "reader",
        name,
        client.reader("orders", name, Start::Latest).await,
    );
    let every = Schedule::every(name, Duration::from_secs(60)).event(message());
    told("schedule", name, client.put_schedule(&every).await);
    let cron = Schedule::cron("c", name)
        .time_zone(name)
        .event(message().key(name).header(name, name));
    told("cron", name, client.put_schedule(&cron).await);
    told("pause_schedule", name, client.pause_schedule(name).await);
    told("delete_schedule", name, client.delete_schedule(name).await);
    told("drain_worker", name, client.drain_worker(name).await);
    told(
        "drain_workers",
        name,
        client.drain_workers(Some(name)).await,
    );
    let declared = client
        .declare_group("orders", "g", options(), Some(name), name)
        .await;
    told("declare", name, declared);
}

/// The same for who does not use the client: each takes one text.
const CALLS: [&str; 24] = [
    "SELECT vulkan.create_stream($1)",
    "SELECT vulkan.stream_id($1)",
    "SELECT vulkan.events_of($1)",
    "SELECT vulkan.create_group('orders', $1)",
    "SELECT vulkan.create_group($1, 'g')",
    "SELECT vulkan.create_group('orders', 'other', mode => $1)",
    "SELECT vulkan.create_group('orders', 'other', start_at => $1)",
    "SELECT vulkan.create_group('orders', 'other', on_dead => $1)",
    "SELECT vulkan.set_binding('orders', 'g', jsonb_build_array(jsonb_build_object('kind', $1)))",
    "SELECT vulkan.set_binding('orders', 'g', jsonb_build_array(jsonb_build_object('kind', '>', 'headers', jsonb_build_object($1, $1))))",
    "SELECT vulkan.kind_regex($1)",
    "SELECT vulkan.publish('orders', $1, '1')",
    "SELECT vulkan.publish($1, 'n', '1', partition_key => $1, dedup_id => $1)",
    "SELECT vulkan.publish('orders', 'n', '1', partition_key => $1, headers => jsonb_build_object($1, $1), dedup_id => $1)",
    "INSERT INTO vulkan.events_1 (kind, payload, partition_key) VALUES ('n', '1', $1)",
    "SELECT vulkan.set_limits('orders', 'g', prefix_delimiter => $1)",
    "SELECT vulkan.set_prefix_limit('orders', 'g', $1, 1)",
    "SELECT vulkan.claim(vulkan.group_id('orders', 'g'), $1, 1)",
    "SELECT vulkan.redrive('orders', 'g', kind_pattern => $1)",
    "SELECT vulkan.replay('orders', 'g', to_group => $1)",
    "SELECT vulkan.put_schedule($1, 'orders', 'n', '1', cron => $1, time_zone => $1, missed => $1)",
    "SELECT vulkan.worker_beat($1, $1, version => $1, host => $1, last_error => $1)",
    "SELECT vulkan.worker_gone($1, $1)",
    "SELECT vulkan.declare_options('orders', 'g', jsonb_build_object($1, $1), version => $1, worker => $1)",
];

fn seed() -> u64 {
    let seed = std::env::var("VULKAN_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().next_u64());
    println!("VULKAN_TEST_SEED={seed}");
    seed
}

fn names() -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(seed());
    let mut names: Vec<String> = HOSTILE.map(str::to_owned).into();
    for length in [
        62, 63, 64, 127, 128, 129, 511, 512, 513, 1023, 1024, 1025, 10_000,
    ] {
        names.push("n".repeat(length));
        names.push("ü".repeat(length.min(1026) / 2));
    }
    names.push("n".repeat(1_000_000));
    names.extend((0..40).map(|_| any(&mut rng)));
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_never_more_than_a_name() {
    let db = TestDb::new().await;
    let client = db.client().await;
    client
        .ensure_group("orders", "g", GroupOptions::default())
        .await
        .unwrap();
    client
        .publish(Message::new("orders", "n", &1).unwrap())
        .await
        .unwrap();
    let before: String = db.value(CATALOG).await;
    for name in names() {
        through_the_client(&client, &name).await;
    }
    assert_eq!(db.value::<String>(CATALOG).await, before);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_it_to_the_sql() {
    let roles = Roles::new().await;
    roles
        .run("SELECT vulkan.create_group('orders', 'g'), vulkan.publish('orders', 'n', '1')")
        .await;
    let before: String = roles.value(CATALOG).await;
    for name in names() {
        for call in CALLS {
            let answer = sqlx::query(call).bind(&name).execute(&roles.pool).await;
            if let Err(error) = answer {
                // Refused by a rule of ours, or by a type or a constraint of Postgres: not for its syntax, nor for what it names.
                let error = error
                    .as_database_error()
                    .unwrap_or_else(|| panic!("{call} of {name:?}: {error}"));
                let code = error.code().unwrap_or_default().into_owned();
                let fine = code.starts_with("VK")
                    || ["22021", "23514", "22023", "22P05"].contains(&code.as_str());
                assert!(fine, "{call} of {name:?}: {code} {error}");
            }
        }
    }
    assert_eq!(roles.value::<String>(CATALOG).await, before);
    roles.check().await;
    roles.end().await;
}
