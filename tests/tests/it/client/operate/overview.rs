use std::time::Duration;

use chrono::{DateTime, Utc};
use vulkan::engine::{Item, Outcome, Settlement};
use vulkan::{Client, DryRun, GroupOverview, Mode, Start};

use crate::client::support::{client, message, next};
use crate::support::TestDb;

async fn of(client: &Client, group: &str) -> GroupOverview {
    let all = client.overview().await.unwrap();
    all.into_iter().find(|row| row.group == group).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_group_is_all_zeros() {
    let db = TestDb::new().await;
    let client = client(&db);
    assert_eq!(client.overview().await.unwrap(), []);
    db.group("audit").await;
    let row = of(&client, "audit").await;
    assert_eq!(
        (row.stream.as_str(), row.mode, row.paused_at),
        ("orders", Mode::Lifecycle, None)
    );
    assert_eq!((row.cursor, row.lso), (0, 0));
    assert_eq!((row.lag_messages, row.lag_seconds), (0, 0.0));
    assert_eq!(
        (row.in_flight, row.ready, row.dead, row.blocked_keys),
        (0, 0, 0, 0)
    );
    assert_eq!(
        (row.oldest_unfinished, row.blocked_heads, row.lso_held_by),
        (None, None, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_tells_what_it_says() {
    let db = TestDb::new().await;
    let (client, group) = (client(&db), db.group("audit").await);
    let later = Duration::from_secs(3600);
    let offsets = client
        .publish_many([
            message("done"),
            message("dead"),
            message("retried"),
            message("running"),
            message("keyed").key("k"),
            message("keyed").key("k"),
        ])
        .await
        .unwrap();
    let claimed = client.claim(group.id, "w", 10, 10, true).await.unwrap();
    assert_eq!(claimed.len(), 6);
    let outcomes = [
        (1, Outcome::Dead { error: "no".into() }),
        (
            2,
            Outcome::Retry {
                after: Some(later),
                error: "not yet".into(),
            },
        ),
        (3, Outcome::Running),
        (
            4,
            Outcome::Retry {
                after: Some(later),
                error: "not yet".into(),
            },
        ),
    ];
    let items = outcomes.into_iter().map(|(nth, outcome)| Item {
        offset: claimed[nth].offset,
        token: claimed[nth].token,
        lane: claimed[nth].lane,
        outcome,
    });
    let settlement = Settlement {
        claims: vec![(claimed[0].claim_hi.unwrap(), claimed[0].token)],
        items: items.collect(),
    };
    client.settle(group.id, settlement).await.unwrap();
    // Above the cursor: two, the older an hour old, and one that has yet to commit.
    let ahead = client
        .publish_many([message("ahead"), message("ahead")])
        .await
        .unwrap();
    sqlx::query("UPDATE vulkan.events SET created_at = created_at - interval '1 hour' WHERE \"offset\" = $1")
        .bind(ahead[0])
        .execute(&db.pool)
        .await
        .unwrap();
    let mut open = client.begin().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut *open)
        .await
        .unwrap();
    client
        .publish_in(&mut *open, message("late"))
        .await
        .unwrap();
    client.pause("orders", "audit", DryRun::No).await.unwrap();

    let row = of(&client, "audit").await;
    assert!(row.paused_at.is_some());
    assert_eq!((row.cursor, row.cursor), (offsets[5], group.cursor().await));
    assert_eq!(row.lso, ahead[1]);
    assert_eq!(row.lso_held_by, Some(vec![pid]));
    assert_eq!(row.lag_messages, 2);
    assert!((3_600.0..3_700.0).contains(&row.lag_seconds), "{row:?}");
    assert_eq!((row.in_flight, row.dead), (1, 1));
    // The retry, the two of the key, and the two above the cursor.
    assert_eq!(row.ready, 5);
    assert_eq!(
        (row.blocked_keys, row.blocked_heads.as_deref()),
        (1, Some(&offsets[4..5]))
    );
    let oldest: DateTime<Utc> = db.value("SELECT min(created_at) FROM vulkan.events").await;
    assert_eq!(row.oldest_unfinished, Some(oldest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_group_shows_its_position_and_lag() {
    let db = TestDb::new().await;
    let client = client(&db);
    let offsets = client
        .publish_many((0..3).map(|_| message("n")))
        .await
        .unwrap();
    let reader = client
        .reader("orders", "index", Start::Earliest)
        .await
        .unwrap();
    next(&mut reader.events()).await;
    reader.commit(offsets[0]).await.unwrap();
    let row = of(&client, "index").await;
    assert_eq!(
        (row.mode, row.cursor, row.lag_messages),
        (Mode::Cursor, offsets[0], 2)
    );
    assert!(row.lag_seconds > 0.0);
    assert_eq!((row.in_flight, row.dead), (0, 0));
}
