use std::time::Duration;

use chrono::{TimeDelta, Utc};

use crate::client::support::{client, message};
use crate::support::TestDb;

/// By the database's clock: what stands in the log is one minute after the log's own time.
#[tokio::test(flavor = "multi_thread")]
async fn a_delay_counts_from_the_database_s_now() {
    let db = TestDb::new().await;
    let client = client(&db);
    let minute = Duration::from_secs(60);
    let time = Utc::now() + TimeDelta::days(2);
    let delayed = || message("delayed").delay(minute);
    client.publish(delayed()).await.unwrap();
    client.publish_once(delayed().dedup_id("d")).await.unwrap();
    // In a batch with others, and with a time of its own.
    client
        .publish_many([
            message("plain"),
            delayed(),
            message("timed").deliver_at(time),
        ])
        .await
        .unwrap();
    // The last that was said counts.
    client
        .publish_many([
            delayed().deliver_at(time).delay(minute),
            message("timed").delay(minute).deliver_at(time),
        ])
        .await
        .unwrap();
    let stand: Vec<(String, bool)> = sqlx::query_as(
        "SELECT kind, CASE kind WHEN 'plain' THEN deliver_at IS NULL WHEN 'timed' THEN deliver_at = $1
                      ELSE deliver_at - created_at BETWEEN interval '60 s' AND interval '65 s' END
         FROM vulkan.events ORDER BY \"offset\"",
    )
    .bind(time)
    .fetch_all(&db.pool)
    .await
    .unwrap();
    let kinds: Vec<_> = stand.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "delayed", "delayed", "plain", "delayed", "timed", "delayed", "timed"
        ]
    );
    assert!(stand.iter().all(|(_, right)| *right), "{stand:?}");
}
