use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::RngExt;
use vulkan::{Client, Message};
use vulkan_devpg::Postgres;

use super::support::Proxy;
use crate::support::within;

/// An address of this machine on which nobody else's server listens.
fn address() -> Ipv4Addr {
    let mut part = || rand::rng().random_range(1..255);
    Ipv4Addr::new(127, part(), part(), part())
}

/// More than the buffers of a connection take, and less than a claim may hand out.
fn large() -> String {
    let mut letter = || char::from(rand::rng().random_range(b'a'..=b'z'));
    (0..1_000_000).map(|_| letter()).collect()
}

/// The claim is not committed before its answer is sent, and the group's latch is held as long: for as long as the kernel
/// has hope for the connection, nobody else would get anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_nobody_reads_does_not_keep_its_group() {
    let address = address();
    let listen = address.to_string();
    let server = Postgres::start_private(&[("listen_addresses", &listen)]);
    let server = server.await.unwrap();
    let database = server.create_database().await.unwrap();
    let near = Client::connect(&database.url()).await.unwrap();
    near.migrate().await.unwrap();
    near.create_stream("orders").await.unwrap();
    for _ in 0..7 {
        let message = Message::new("orders", "n", &large()).unwrap();
        near.publish(message).await.unwrap();
    }
    let group: i32 = sqlx::query_scalar("SELECT vulkan.create_group('orders', 'audit')")
        .fetch_one(near.pool())
        .await
        .unwrap();
    let proxy = Proxy::start_to_tcp(SocketAddr::from((address, 5432))).await;
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/{}?sslmode=disable",
        proxy.port(),
        database.name()
    );
    let far = Client::connect(&url).await.unwrap();
    far.stream_id("orders").await.unwrap();

    let mut lock = near.pool().begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE vulkan.groups IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let claim = tokio::spawn(async move { far.claim(group, "far", 100, 16, true).await });
    let is = async |what: &'static str| -> bool {
        let asked = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%vulkan.claim(%' AND pid <> pg_backend_pid() AND wait_event_type || wait_event = $1)";
        let asked = sqlx::query_scalar(asked).bind(what);
        asked.fetch_one(near.pool()).await.unwrap()
    };
    let until = async |what: &'static str| {
        let waiting = async {
            while !is(what).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(what, waiting).await;
    };
    until("Lockrelation").await;
    proxy.go_deaf();
    lock.rollback().await.unwrap();
    until("ClientClientWrite").await;
    assert!(
        near.claim(group, "near", 100, 16, true)
            .await
            .unwrap()
            .is_empty()
    );

    // As long as the far one itself waits for an answer.
    let claimed = within("the messages", async {
        loop {
            let claimed = near.claim(group, "near", 100, 16, true).await.unwrap();
            if !claimed.is_empty() {
                return claimed;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert_eq!(claimed.len(), 7);
    assert!(claimed.iter().all(|message| message.attempt == 1));
    assert!(claim.await.unwrap().is_err());
    near.pool().close().await;
    database.close().await.unwrap();
    server.stop().await.unwrap();
}
