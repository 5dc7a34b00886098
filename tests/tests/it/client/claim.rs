use futures::poll;
use serde_json::json;

use super::support::{client, until};
use crate::support::{Publish, TestDb};

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_given_back() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    // One of each sort: tried before, in a claim of its own, and a run of a key.
    let tried = Publish::new("a").send(&db.pool).await;
    let message = group.claim_one().await;
    group.settle_one(&message, "retry").await;
    db.run("UPDATE vulkan.exceptions SET run_at = clock_timestamp()")
        .await;
    let new = Publish::new("a").payload(json!(1)).send(&db.pool).await;
    let keyed = [
        Publish::keyed("k").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ];
    let client = client(&db);

    let mut claim = Box::pin(client.claim(group.id, "gone", 10, 10, true));
    assert!(poll!(claim.as_mut()).is_pending());
    drop(claim);
    let taken_and_back = "SELECT EXISTS (SELECT FROM vulkan.claims WHERE worker = 'gone')
        AND NOT EXISTS (SELECT FROM vulkan.deliveries WHERE status <> 'ready')";
    until("the claim to be made and given back", async || {
        db.value(taken_and_back).await
    })
    .await;

    let mut attempts = Vec::new();
    for _ in 0..2 {
        for message in client.claim(group.id, "here", 10, 10, true).await.unwrap() {
            attempts.push((message.offset, message.attempt));
        }
    }
    attempts.sort_unstable();
    let [first, second] = keyed;
    assert_eq!(attempts, [(tried, 2), (new, 1), (first, 1), (second, 1)]);
    db.check().await;
}
