use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use vulkan::{Client, Error, Message, Publisher, PublisherOptions};
use vulkan_devpg::Postgres;

use crate::client::support::{client, message};
use crate::support::{TestDb, within};

fn nth(n: usize) -> Message {
    Message::new("orders", "n", &json!(n)).unwrap()
}

/// One batch at a time, so that what is published while it is held up goes together.
const ONE_BY_ONE: PublisherOptions = PublisherOptions {
    batch: 500,
    in_flight: 1,
    queue: 10_000,
};

/// Holds up the batch that is under way, until the transaction ends.
struct HeldUp {
    tx: sqlx::Transaction<'static, sqlx::Postgres>,
    publish: tokio::task::JoinHandle<Result<i64, Error>>,
}

impl HeldUp {
    async fn new(db: &TestDb, client: &Client, publisher: &Publisher) -> Self {
        let mut tx = client.begin().await.unwrap();
        let held = || message("held").dedup_id("held");
        client.publish_in(&mut *tx, held()).await.unwrap();
        let publisher = publisher.clone();
        let publish = tokio::spawn(async move { publisher.publish(held()).await });
        db.until_blocked().await;
        Self { tx, publish }
    }

    async fn let_go(self) {
        self.tx.rollback().await.unwrap();
        within("what was held up", self.publish)
            .await
            .unwrap()
            .unwrap();
    }
}

/// Puts them into the queue in this order, and gives what each is answered.
async fn queue(
    publisher: &Publisher,
    messages: Vec<Message>,
) -> JoinSet<(usize, Result<i64, Error>)> {
    let mut tasks = JoinSet::new();
    for (place, message) in messages.into_iter().enumerate() {
        let mut publish = {
            let publisher = publisher.clone();
            Box::pin(async move { publisher.publish(message).await })
        };
        // Polled once, it stands in the queue.
        assert!(futures::poll!(&mut publish).is_pending());
        tasks.spawn(async move { (place, publish.await) });
    }
    tasks
}

async fn answers(tasks: JoinSet<(usize, Result<i64, Error>)>) -> Vec<Result<i64, Error>> {
    let mut answers = within("all answers", tasks.join_all()).await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tasks_share_a_few_statements() {
    let db = TestDb::new().await;
    let publisher = client(&db).publisher();
    let mut tasks = JoinSet::new();
    for n in 0..1_000 {
        let publisher = publisher.clone();
        tasks.spawn(async move {
            let first = publisher.publish(nth(2 * n)).await.unwrap();
            let second = publisher.publish(nth(2 * n + 1)).await.unwrap();
            assert!(second > first);
            [(first, 2 * n), (second, 2 * n + 1)]
        });
    }
    let told = within("all of them", tasks.join_all()).await;
    let told: HashMap<i64, usize> = told.into_iter().flatten().collect();
    let found: Vec<(i64, String)> =
        sqlx::query_as("SELECT \"offset\", payload::text FROM vulkan.events")
            .fetch_all(&db.pool)
            .await
            .unwrap();
    assert_eq!((told.len(), found.len()), (2_000, 2_000));
    for (offset, payload) in found {
        assert_eq!(told[&offset].to_string(), payload, "{offset}");
    }
    let transactions: i64 = db
        .value("SELECT count(DISTINCT xmin::text) FROM vulkan.events")
        .await;
    assert!(transactions < 400, "{transactions} transactions");
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_each_goes_at_once() {
    let db = TestDb::new().await;
    let publisher = client(&db).publisher();
    let mut before = 0;
    for n in 0..20 {
        let offset = within("an answer", publisher.publish(nth(n)))
            .await
            .unwrap();
        assert!(offset > before);
        before = offset;
    }
    let transactions: i64 = db
        .value("SELECT count(DISTINCT xmin::text) FROM vulkan.events")
        .await;
    assert_eq!(transactions, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_one_fails_alone() {
    let db = TestDb::new().await;
    db.run("SELECT vulkan.create_stream('payments')").await;
    let client = client(&db);
    let publisher = client.publisher_with(ONE_BY_ONE);
    // What this client can tell is told at once.
    for bad in [
        Message::new("Orders", "n", &1).unwrap(),
        Message::new("orders", "a..b", &1).unwrap(),
        Message::new("orders", "n", "\0").unwrap(),
        message("n").dedup_id("i".repeat(513)),
    ] {
        assert!(publisher.publish(bad).await.is_err());
    }
    let held = HeldUp::new(&db, &client, &publisher).await;
    // A number that Postgres has no room for, in one batch with good ones of the same stream; a stream that is
    // not there; and another that is.
    let huge = RawValue::from_string("1e200000".into()).unwrap();
    let messages = (0..30)
        .map(|n| match n {
            7 | 20 => Message::new("orders", "n", &huge).unwrap(),
            n if n % 10 == 3 => Message::new("nowhere", "n", &n).unwrap(),
            n if n % 10 == 4 => Message::new("payments", "n", &n).unwrap(),
            n => nth(n),
        })
        .collect();
    let tasks = queue(&publisher, messages).await;
    held.let_go().await;
    for (n, answer) in answers(tasks).await.into_iter().enumerate() {
        match n {
            7 | 20 => assert!(matches!(answer, Err(Error::Invalid(_))), "{n}: {answer:?}"),
            3 | 13 | 23 => assert!(
                matches!(answer, Err(Error::UnknownStream(_))),
                "{n}: {answer:?}"
            ),
            _ => assert!(answer.is_ok(), "{n}: {answer:?}"),
        }
    }
    let counts: Vec<i64> = db
        .value("SELECT array_agg(n ORDER BY n) FROM (SELECT count(*) AS n FROM vulkan.events GROUP BY stream_id) c")
        .await;
    assert_eq!(counts, [3, 23]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_has_published_or_not() {
    let db = TestDb::new().await;
    let client = client(&db);
    let options = PublisherOptions {
        batch: 1,
        in_flight: 1,
        queue: 1,
    };
    let publisher = client.publisher_with(options);
    let held = HeldUp::new(&db, &client, &publisher).await;
    let mut waiting: Vec<_> = (0..20)
        .map(|n| {
            let publisher = publisher.clone();
            Box::pin(async move { publisher.publish(nth(n)).await })
        })
        .collect();
    for publish in &mut waiting {
        assert!(futures::poll!(publish).is_pending());
    }
    // The queue has room for one, and who sends holds another.
    drop(waiting);
    held.let_go().await;
    publisher.close().await;
    let published: Vec<i32> = db
        .value("SELECT array_agg(payload::integer ORDER BY \"offset\") FROM vulkan.events WHERE kind = 'n'")
        .await;
    assert!((1..=2).contains(&published.len()), "{published:?}");
    assert_eq!(published[0], 0);
}

#[tokio::test]
async fn limits_may_be_as_good_as_none() {
    let db = TestDb::new().await;
    let publisher = client(&db).publisher_with(PublisherOptions {
        batch: usize::MAX,
        in_flight: usize::MAX,
        queue: usize::MAX,
    });
    publisher.publish(nth(1)).await.unwrap();
    publisher.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_is_sent_at_the_end() {
    let db = TestDb::new().await;
    let client = client(&db);
    for dropped in [false, true] {
        db.run("TRUNCATE vulkan.events").await;
        let publisher = client.publisher_with(ONE_BY_ONE);
        let held = HeldUp::new(&db, &client, &publisher).await;
        let tasks = queue(&publisher, (0..50).map(nth).collect()).await;
        let other = publisher.clone();
        let closing = if dropped {
            drop((publisher, other));
            None
        } else {
            let closing = tokio::spawn(publisher.close());
            let refused = async {
                loop {
                    // Until it is told, it takes what it is given.
                    let given =
                        tokio::time::timeout(Duration::from_millis(10), other.publish(nth(99)));
                    if let Ok(answer) = given.await {
                        return answer;
                    }
                }
            };
            let answer = within("the publisher to be closed", refused).await;
            assert!(matches!(answer, Err(Error::PublisherClosed)), "{answer:?}");
            assert!(!closing.is_finished());
            Some(closing)
        };
        held.let_go().await;
        let answers = answers(tasks).await;
        assert!(answers.iter().all(Result::is_ok));
        if let Some(closing) = closing {
            within("the publisher to close", closing).await.unwrap();
        }
        let published: i64 = db
            .value("SELECT count(*) FROM vulkan.events WHERE kind = 'n' AND payload <> '99'")
            .await;
        assert_eq!(published, 50);
    }
}

/// What was answered with an offset is there after a crash; who was told of an error can try again.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_outlives_a_crash_of_the_server() {
    let mut postgres = Postgres::start_private(vulkan_devpg::FAST).await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    client.migrate().await.unwrap();
    client.create_stream("orders").await.unwrap();
    let publisher = client.publisher();
    let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for task in 0..200_usize {
        let (publisher, told) = (publisher.clone(), told.clone());
        tasks.spawn(async move {
            let mut answered = Vec::new();
            for n in 0.. {
                match publisher.publish(nth(task * 1_000_000 + n)).await {
                    Ok(offset) => answered.push((offset, (task * 1_000_000 + n).to_string())),
                    Err(error) => {
                        assert!(error.is_transient(), "{error:?}");
                        assert!(std::error::Error::source(&error).is_some(), "{error:?}");
                        assert!(
                            matches!(error, Error::Batch(_) | Error::Database(_)),
                            "{error:?}"
                        );
                        return answered;
                    }
                }
                let _ = told.send(());
            }
            answered
        });
    }
    for _ in 0..2_000 {
        within("an answer", tells.recv()).await.unwrap();
    }
    postgres.crash().await.unwrap();
    let answered = within("all to be told", tasks.join_all()).await;
    postgres.restart().await.unwrap();
    let found: HashMap<i64, String> = within("the server to be back", async {
        loop {
            let found = sqlx::query_as("SELECT \"offset\", payload::text FROM vulkan.events")
                .fetch_all(client.pool())
                .await;
            if let Ok(found) = found {
                return found;
            }
        }
    })
    .await
    .into_iter()
    .collect();
    let mut many = 0;
    for (offset, payload) in answered.into_iter().flatten() {
        assert_eq!(found.get(&offset), Some(&payload));
        many += 1;
    }
    assert!(many >= 2_000, "{many}");
    // And it goes on.
    within("the publisher to go on", async {
        while publisher.publish(nth(0)).await.is_err() {}
    })
    .await;
    publisher.close().await;
    client.pool().close().await;
    postgres.stop().await.unwrap();
}
