use crate::support::{Group, Message, Publish, TestDb};

/// Claims everything that can be had, and tells of each message whether it was handed out before.
async fn claim(group: &Group) -> Vec<(i64, bool)> {
    let (messages, again): (Vec<Message>, Vec<bool>) = claim_open(group).await;
    let offsets = messages.iter().map(|message| message.offset);
    let mut past: Vec<_> = offsets.zip(again).collect();
    past.sort_unstable();
    group.done(&messages).await;
    past
}

/// The same, and leaves the messages in work.
async fn claim_open(group: &Group) -> (Vec<Message>, Vec<bool>) {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        message: Message,
        again: bool,
    }
    let rows: Vec<Row> = sqlx::query_as(
        r#"SELECT m.*, coalesce(vulkan.met_before($1, m."offset"), false) AS again
           FROM vulkan.claim($1, 'worker') m"#,
    )
    .bind(group.id)
    .fetch_all(&group.pool)
    .await
    .unwrap();
    rows.into_iter().map(|row| (row.message, row.again)).unzip()
}

/// Hands out the one message there is, and settles it like this.
async fn settle_as(group: &Group, outcome: &str) {
    let (messages, again) = claim_open(group).await;
    assert_eq!(again, [false], "{outcome}");
    group.settle_one(&messages[0], outcome).await;
}

#[tokio::test]
async fn what_comes_for_the_first_time_was_not_met_before() {
    let db = TestDb::new().await;
    let group = db.group("fresh").await;
    let plain = Publish::new("a").send(&db.pool).await;
    let keyed = Publish::keyed("k").send(&db.pool).await;
    assert_eq!(claim(&group).await, [(plain, false), (keyed, false)]);
    let plain = Publish::new("a").delayed(60.0).send(&db.pool).await;
    let keyed = Publish::keyed("k").delayed(60.0).send(&db.pool).await;
    assert_eq!(claim(&group).await, []);
    db.all_due().await;
    assert_eq!(claim(&group).await, [(plain, false), (keyed, false)]);
}

#[tokio::test]
async fn what_was_put_off_given_back_or_redriven_was_met_before() {
    let db = TestDb::new().await;
    for (outcome, event) in [
        ("snooze", Publish::new("a")),
        ("snooze", Publish::keyed("k")),
        ("release", Publish::new("a")),
        ("retry", Publish::new("a")),
        ("dead", Publish::new("a")),
        ("dead", Publish::keyed("k")),
    ] {
        let group = db
            .group(&format!("{outcome}-{}", uuid::Uuid::new_v4()))
            .await;
        sqlx::query("SELECT vulkan.replay('orders', $1, to_position => 'latest')")
            .bind(&group.name)
            .execute(&db.pool)
            .await
            .unwrap();
        let offset = event.send(&db.pool).await;
        settle_as(&group, outcome).await;
        sqlx::query("SELECT vulkan.redrive('orders', $1)")
            .bind(&group.name)
            .execute(&db.pool)
            .await
            .unwrap();
        db.all_due().await;
        assert_eq!(claim(&group).await, [(offset, true)], "{outcome}");
    }
    db.check().await;
}

#[tokio::test]
async fn what_is_replayed_was_met_before_and_what_comes_after_was_not() {
    let db = TestDb::new().await;
    let group = db.group("again").await;
    let offsets = [
        Publish::new("a").send(&db.pool).await,
        Publish::keyed("k").send(&db.pool).await,
    ];
    let first = offsets.map(|offset| (offset, false));
    assert_eq!(claim(&group).await, first);
    db.run("SELECT vulkan.replay('orders', 'again', to_position => 'earliest')")
        .await;
    let after = Publish::new("a").send(&db.pool).await;
    let mut past = offsets.map(|offset| (offset, true)).to_vec();
    past.push((after, false));
    assert_eq!(claim(&group).await, past);
    db.check().await;
}
