//! "Lost" is not 0 by construction: each test loses a message behind everybody's back, in another way.

use sqlx::{Executor, FromRow};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use vulkan::Client;
use vulkan_devpg::TestDatabase;

use super::Reader;
use crate::ledger::{Handled, Ledger, PRODUCER, WORKER};
use crate::news::News;
use crate::number::{Counts, Number};
use crate::order::{EMAILS, GROUPS, OrderPlaced, PAYMENTS};
use crate::producer::Producer;
use crate::stage::prepare;

/// To be copied, which is quicker than to migrate each.
static TEMPLATE: OnceCell<TestDatabase> = OnceCell::const_new();

async fn prepared() -> TestDatabase {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    prepare(&client).await.unwrap();
    client.pool().close().await;
    database
}

/// Ten orders, and two groups that are handled by hand.
struct Shop {
    client: Client,
    reader: Reader,
    offsets: Vec<i64>,
    worker: Ledger,
    directory: TempDir,
    _database: TestDatabase,
}

#[derive(FromRow)]
struct Claimed {
    offset: i64,
    token: i64,
    claim_hi: i64,
}

impl Shop {
    async fn open() -> Self {
        let server = vulkan_devpg::shared().await;
        let name = TEMPLATE.get_or_init(prepared).await.name();
        let database = server.create_database_from(name).await.unwrap();
        let client = Client::connect(&database.url()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ledger = |name: &str| Ledger::open(&directory.path().join(name)).unwrap();
        let producer = Producer::new(client.clone(), ledger(PRODUCER), News::new().0);
        let orders: Vec<_> = (0..10)
            .map(|_| OrderPlaced {
                customer: None,
                ..producer.next_order()
            })
            .collect();
        let offsets = client.publish_many(&orders).await.unwrap();
        producer.acked(&orders, &offsets).unwrap();
        Self {
            reader: Reader::new(&database.url(), directory.path()).unwrap(),
            worker: ledger(&format!("{WORKER}1-1")),
            offsets,
            client,
            directory,
            _database: database,
        }
    }

    /// Takes so many messages of a group, and closes the claim: they are done, but for those that are to be tried again.
    async fn take(&self, group: &str, many: i32, retry: bool) -> Vec<i64> {
        let claimed: Vec<Claimed> = sqlx::query_as(
            r#"SELECT "offset", token, claim_hi FROM vulkan.claim(vulkan.group_id('orders', $1), 'by hand', max_messages => $2)"#,
        )
        .bind(group)
        .bind(many)
        .fetch_all(self.client.pool())
        .await
        .unwrap();
        assert_eq!(claimed.len(), usize::try_from(many).unwrap());
        let items: &[Claimed] = if retry { &claimed } else { &[] };
        sqlx::query(
            "SELECT vulkan.settle(vulkan.group_id('orders', $1), claim_his => ARRAY[$2], claim_tokens => ARRAY[$3], offsets => $4,
                tokens => $5, lanes => array_fill(NULL::bigint, ARRAY[cardinality($4)]), outcomes => array_fill('retry'::text, ARRAY[cardinality($4)]),
                delays => array_fill('1 hour'::interval, ARRAY[cardinality($4)]), errors => array_fill('again'::text, ARRAY[cardinality($4)]))",
        )
        .bind(group)
        .bind(claimed[0].claim_hi)
        .bind(claimed[0].token)
        .bind(items.iter().map(|one| one.offset).collect::<Vec<_>>())
        .bind(items.iter().map(|one| one.token).collect::<Vec<_>>())
        .execute(self.client.pool())
        .await
        .unwrap();
        claimed.iter().map(|one| one.offset).collect()
    }

    /// Handles so many messages of a group, as the worker processes do.
    async fn handle(&self, group: &str, many: i32) {
        for offset in self.take(group, many, false).await {
            self.has_effect(group, offset).await;
        }
    }

    async fn has_effect(&self, group: &str, offset: i64) {
        if group == PAYMENTS {
            sqlx::query(include_str!("../sql/book_payment.sql"))
                .bind(offset)
                .bind(offset)
                .execute(self.client.pool())
                .await
                .unwrap();
        }
        let group = group.to_owned();
        self.worker
            .write([&Handled {
                group,
                offset,
                attempt: 1,
                began: 0,
                ended: 0,
            }])
            .unwrap();
    }

    /// Behind everybody's back, with the triggers off.
    async fn run(&self, sql: &'static str) {
        let mut connection = self.client.pool().acquire().await.unwrap();
        connection
            .execute("SET session_replication_role = replica")
            .await
            .unwrap();
        connection.execute(sql).await.unwrap();
        connection
            .execute("RESET session_replication_role")
            .await
            .unwrap();
    }

    async fn counts(&mut self) -> Counts {
        self.reader.read().await.unwrap().counts
    }

    /// The lost messages of each group, read twice: on the way, and anew from the files.
    async fn lost(&mut self) -> [i64; 2] {
        let counts = self.counts().await;
        let anew = self.reader.read_anew().await.unwrap().counts;
        assert_eq!(counts, anew);
        GROUPS.map(|group| counts.of(Number::Lost, group))
    }
}

#[tokio::test]
async fn every_message_is_in_one_column() {
    let mut shop = Shop::open().await;
    shop.handle(EMAILS, 4).await;
    shop.take(EMAILS, 2, true).await;
    shop.handle(PAYMENTS, 3).await;
    let counts = shop.counts().await;
    let of = |group| Number::ALL.map(|number| counts.of(number, group));
    //                       produced, processed, in flight, retrying, waiting, dead, lost, rerun, repeated
    assert_eq!(of(EMAILS), [10, 4, 0, 2, 4, 0, 0, 0, 0]);
    assert_eq!(of(PAYMENTS), [10, 3, 0, 0, 7, 0, 0, 0, 0]);
    assert_eq!(shop.lost().await, [0, 0]);
}

#[tokio::test]
async fn an_event_that_is_gone_is_lost_to_every_group() {
    let mut shop = Shop::open().await;
    shop.handle(EMAILS, 10).await;
    shop.run(
        r#"DELETE FROM vulkan.events WHERE "offset" = (SELECT max("offset") FROM vulkan.events)"#,
    )
    .await;
    assert_eq!(shop.lost().await, [1, 1]);
}

/// As a reader would that skips an event which commits late: the engine believes that it is done.
#[tokio::test]
async fn a_message_that_is_done_and_was_never_handled_is_lost() {
    let mut shop = Shop::open().await;
    shop.handle(EMAILS, 5).await;
    shop.take(EMAILS, 1, false).await;
    shop.take(PAYMENTS, 1, false).await;
    let counts = shop.counts().await;
    // The engine says that a sixth is done; there is nothing to show for it.
    assert_eq!(counts.of(Number::Processed, EMAILS), 5);
    assert_eq!(shop.lost().await, [1, 1]);
}

#[tokio::test]
async fn a_retry_that_is_forgotten_is_lost() {
    let mut shop = Shop::open().await;
    shop.take(PAYMENTS, 1, true).await;
    assert_eq!(shop.lost().await, [0, 0]);
    shop.run("DELETE FROM vulkan.exceptions").await;
    assert_eq!(shop.lost().await, [0, 1]);
}

#[tokio::test]
async fn a_payment_that_is_taken_back_is_lost_though_its_handler_ran() {
    let mut shop = Shop::open().await;
    shop.handle(PAYMENTS, 10).await;
    assert_eq!(shop.lost().await, [0, 0]);
    shop.run("DELETE FROM chaos.payments WHERE event_offset = (SELECT min(event_offset) FROM chaos.payments)")
        .await;
    assert_eq!(shop.lost().await, [0, 1]);
}

#[tokio::test]
async fn what_happens_twice_is_seen_for_what_it_is() {
    let mut shop = Shop::open().await;
    shop.handle(EMAILS, 10).await;
    shop.handle(PAYMENTS, 10).await;
    // A second e-mail, and a second run whose payment was rolled back.
    let offset = shop.offsets[3];
    shop.has_effect(EMAILS, offset).await;
    let rolled_back = Handled {
        group: PAYMENTS.into(),
        offset,
        attempt: 2,
        began: 0,
        ended: 0,
    };
    // Of another life of the worker.
    let other = shop.directory.path().join(format!("{WORKER}1-2"));
    Ledger::open(&other).unwrap().write([&rolled_back]).unwrap();
    let counts = shop.counts().await;
    let of = |number| GROUPS.map(|group| counts.of(number, group));
    assert_eq!(of(Number::Rerun), [1, 1]);
    assert_eq!(of(Number::Repeated), [1, 0]);
    shop.has_effect(PAYMENTS, offset).await;
    let counts = shop.counts().await;
    assert_eq!(counts.of(Number::Repeated, PAYMENTS), 1);
}
