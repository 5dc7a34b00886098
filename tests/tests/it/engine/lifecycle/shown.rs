use sqlx::PgConnection;

use crate::support::{Publish, TestDb};

/// By this session.
async fn cursors_asked_for(session: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT coalesce(pg_stat_get_xact_function_calls('vulkan.cursor_of(integer)'::regprocedure), 0)",
    )
    .fetch_one(session)
    .await
    .unwrap()
}

/// Asked for with each event of the log, the cursors cost more than all else of it.
#[tokio::test]
async fn what_waits_is_shown_with_one_look_for_the_cursor_of_each_group() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    db.group("billing").await;
    for _ in 0..20 {
        Publish::new("a").send(&db.pool).await;
    }
    assert_eq!(group.claim_as("worker", 5).await.len(), 5);
    let mut tx = db.pool.begin().await.unwrap();
    sqlx::query("SET LOCAL track_functions = 'all'")
        .execute(&mut *tx)
        .await
        .unwrap();
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM vulkan.deliveries WHERE status = 'ready'")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    assert_eq!(waiting, 15 + 20);
    let asked = cursors_asked_for(&mut tx).await;
    assert!((1..=2).contains(&asked), "{asked} times for two groups");
}
