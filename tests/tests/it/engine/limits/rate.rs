use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::{Settlement, TestDb};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_quiet_time_a_burst_and_then_the_rate() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    group.set("set_limits", "rate => 0.01, burst => 7").await;
    db.publish(20, "NULL").await;
    assert_eq!(group.claim_as("a", 3).await.len(), 3);
    assert_eq!(group.claim_as("b", 100).await.len(), 4);
    assert!(group.claim().await.is_empty());
    // Three at once are worth coming back for: half a burst, since twenty milliseconds bring less than one.
    let (due, next) = group.look().await;
    assert!(!due);
    let next = next.unwrap();
    assert!((90.0..=100.0).contains(&next), "{next}");
    // As if 250 seconds had passed: two more, and a half.
    db.run("UPDATE vulkan.rate_grants SET tat = tat - interval '250 seconds'")
        .await;
    assert!(group.look().await.0);
    assert_eq!(group.claim().await.len(), 2);
    assert!(group.claim().await.is_empty());
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.rate_grants")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_charged() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    group.set("set_limits", "rate => 0.01, burst => 3").await;
    db.publish(1, "NULL").await;
    for _ in 0..3 {
        let message = group.claim_one().await;
        let closing = Settlement::closing(std::slice::from_ref(&message));
        group
            .settle(&closing.item_after(&message, "retry", Some(0.0)))
            .await;
    }
    assert!(group.claim().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_or_a_rate_raised_does_not_stop_a_group() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    group.set("set_limits", "rate => 0.001, burst => 2").await;
    db.publish(10, "NULL").await;
    assert_eq!(group.claim().await.len(), 2);
    db.run("UPDATE vulkan.rate_grants SET tat = tat + interval '1 day'")
        .await;
    group.set("set_limits", "rate => 1000").await;
    assert_eq!(group.claim().await.len(), 2);
}

/// Claimers that come as often as they can.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_claimers_gets_what_the_rate_allows() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let (rate, burst) = (2000.0, 100);
    group.set("set_limits", "rate => 2000, burst => 100").await;
    db.publish(10_000, "NULL").await;
    let since = Instant::now();
    let mut claimers = JoinSet::new();
    for nth in 0..4 {
        let group = group.clone();
        claimers.spawn(async move {
            let mut got = 0;
            while since.elapsed() < Duration::from_secs(1) {
                got += group.claim_as(&format!("w{nth}"), 1000).await.len();
            }
            got
        });
    }
    let got: usize = claimers.join_all().await.into_iter().sum();
    let most = f64::from(burst) + rate * since.elapsed().as_secs_f64();
    assert!(got as f64 <= most + 1.0, "{got} of {most}");
    // What time brings is not lost either, as long as they come within a burst's time.
    assert!(got > 1000, "{got} of {most}");
}
