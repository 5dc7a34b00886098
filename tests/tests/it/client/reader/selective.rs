use vulkan::{Binding, GroupOptions, Mode, Start};

use crate::client::support::{client, message, next, next_offsets};
use crate::support::TestDb;

fn wants(bindings: Vec<Binding>) -> GroupOptions {
    GroupOptions {
        mode: Mode::Cursor,
        bindings: Some(bindings),
        ..GroupOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_bindings_reads_only_what_matches() {
    let db = TestDb::new().await;
    let client = client(&db);
    let placed = Binding::kind("order.*.placed".parse().unwrap());
    let european = Binding::kind(">".parse().unwrap()).header("region", "eu");
    let options = wants(vec![placed, european]);
    client
        .ensure_group("orders", "index", options)
        .await
        .unwrap();
    let mut wanted = Vec::new();
    for (kind, region, matches) in [
        ("order.1.placed", "us", true),
        ("order.1.paid", "us", false),
        ("order.placed", "us", false),
        ("order.1.paid", "eu", true),
        ("order.1.placed", "eu", true),
        ("other", "us", false),
    ] {
        let offset = client
            .publish(message(kind).header("region", region))
            .await
            .unwrap();
        if matches {
            wanted.push(offset);
        }
    }
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let mut events = reader.events();
    assert_eq!(next_offsets(&mut events, 3).await, wanted);
    reader.commit(wanted[2]).await.unwrap();
    let last = client.publish(message("order.2.placed")).await.unwrap();
    assert_eq!(next(&mut events).await.offset(), last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selective_reader_gets_over_what_is_not_for_it() {
    let db = TestDb::new().await;
    let client = client(&db);
    let options = wants(vec![Binding::kind("needle".parse().unwrap())]);
    client
        .ensure_group("orders", "index", options)
        .await
        .unwrap();
    let hay = "SELECT count(*) FROM vulkan.publish_many('orders',
        (SELECT array_agg('hay'::text) FROM generate_series(1, 25000)),
        (SELECT array_agg('1'::jsonb) FROM generate_series(1, 25000)))";
    let mut needles = Vec::new();
    for _ in 0..2 {
        assert_eq!(db.value::<i64>(hay).await, 25_000);
        needles.push(client.publish(message("needle")).await.unwrap());
    }
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    let mut events = reader.events();
    assert_eq!(next_offsets(&mut events, 2).await, needles);
    // The second needle is behind as much again.
    reader.commit(needles[0]).await.unwrap();
    drop(events);
    assert_eq!(next(&mut reader.events()).await.offset(), needles[1]);
}
