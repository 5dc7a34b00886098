use super::keys;
use crate::support::{Publish, Settlement, TestDb, offsets};

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_limit_is_handed_out() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    assert!(group.set("set_limits", "max_in_flight => 5").await);
    assert!(!group.set("set_limits", "max_in_flight => 5").await);
    db.publish(20, "NULL").await;
    let first = group.claim_as("a", 3).await;
    let second = group.claim_as("b", 100).await;
    assert_eq!(offsets(&first), [1, 2, 3]);
    assert_eq!(offsets(&second), [4, 5]);
    assert!(group.claim().await.is_empty());
    assert_eq!(group.processing().await, 5);
    // At the limit nothing is due, and nobody has to look again before something ends.
    assert_eq!(group.look().await, (false, None));
    db.check().await;
    group.done(&first).await;
    assert!(group.look().await.0);
    assert_eq!(offsets(&group.claim().await), [6, 7, 8]);
    assert_eq!(group.processing().await, 5);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlives_its_claim_or_comes_back_counts() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    group.set("set_limits", "max_in_flight => 4").await;
    db.publish(20, "NULL").await;
    let messages = group.claim().await;
    let settlement = Settlement::closing(&messages)
        .item(&messages[0], "running")
        .item(&messages[1], "running")
        .item_after(&messages[2], "retry", Some(0.0));
    group.settle(&settlement).await;
    // One retry and one new message, beside two that run on.
    let more = group.claim().await;
    assert_eq!(offsets(&more), [messages[2].offset, 5]);
    assert!(group.claim().await.is_empty());
    // Lost, they count until they are given back, and then one at a time is handed out.
    db.expire_leases().await;
    assert!(group.claim().await.is_empty());
    db.run("SELECT vulkan.reap()").await;
    assert_eq!(group.processing().await, 0);
    let alone = group.claim().await;
    assert_eq!(alone.iter().filter(|message| message.solo).count(), 1);
    assert_eq!(alone.len(), 4);
    assert_eq!(group.processing().await, 4);
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_key_leaves_the_room_to_others() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    group.set("set_limits", "max_in_flight => 10").await;
    db.publish(300, "CASE WHEN n <= 295 THEN 'hot' ELSE 'k' || n END")
        .await;
    let messages = group.claim().await;
    assert_eq!(
        keys(&messages),
        ["hot", "k296", "k297", "k298", "k299", "k300"]
    );
    assert_eq!(group.processing().await, 6);
    group.done(&messages).await;
    // And goes on by itself, a tenth of the limit at a time.
    for offset in 2..5 {
        let message = group.claim_one().await;
        assert_eq!(message.offset, offset);
        group.done(&[message]).await;
    }
    db.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_the_latch_only_for_a_moment() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    group.set("set_limits", "max_in_flight => 10").await;
    Publish::new("n").send(&db.pool).await;
    let mut holder = db.pool.begin().await.unwrap();
    sqlx::query("SELECT vulkan.latch($1)")
        .bind(group.id)
        .execute(&mut *holder)
        .await
        .unwrap();
    assert!(group.claim().await.is_empty());
    holder.rollback().await.unwrap();
    assert_eq!(group.claim().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_can_be_moved_and_taken_away() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    group.set("set_limits", "max_in_flight => 8").await;
    db.publish(100, "NULL").await;
    let first = group.claim().await;
    group.set("set_limits", "max_in_flight => 2").await;
    group.done(&first[..0]).await;
    assert!(group.claim().await.is_empty());
    group.set("set_limits", "max_in_flight => 9").await;
    assert_eq!(group.claim().await.len(), 1);
    assert!(group.set("set_limits", "max_in_flight => 0").await);
    assert_eq!(group.claim().await.len(), 91);
    let refused = sqlx::query("SELECT vulkan.set_limits('orders', 'audit', max_in_flight => -1)")
        .execute(&db.pool)
        .await
        .unwrap_err();
    let code = refused.as_database_error().unwrap().code();
    assert_eq!(code.as_deref(), Some("VK003"));
    db.check().await;
}

#[tokio::test]
async fn runs_of_keys_count_until_they_end() {
    let db = TestDb::new().await;
    let group = db.group("g").await.with("max_in_flight = 2").await;
    for key in ["a", "b", "c"] {
        Publish::keyed(key).send(&db.pool).await;
    }
    let held = group.claim().await;
    assert_eq!(held.len(), 2);
    assert!(group.claim().await.is_empty());
    group.done(&held).await;
    assert_eq!(group.claim().await.len(), 1);
    db.check().await;
}

/// Its run was handed out before there was a limit, and what comes after a delayed message of its key was not.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_counts_up_to_what_is_delayed() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let first = Publish::keyed("k").send(&db.pool).await;
    Publish::keyed("k").delayed(3600.0).send(&db.pool).await;
    Publish::keyed("k").send(&db.pool).await;
    let run = group.claim().await;
    assert_eq!(offsets(&run), [first]);
    group.set("set_limits", "max_in_flight => 2").await;
    let other = Publish::new("n").send(&db.pool).await;
    assert_eq!(offsets(&group.claim().await), [other]);
    db.check().await;
}
