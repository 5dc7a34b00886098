use serde_json::{Value, json};

use crate::support::{Group, Message, Publish, TestDb};

/// Saves a checkpoint; the error is an SQLSTATE.
async fn save(group: &Group, message: &Message, value: &Value) -> Result<(), String> {
    let saved = sqlx::query("SELECT vulkan.save_checkpoint($1, $2, $3, $4, $5)")
        .bind(group.id)
        .bind(message.offset)
        .bind(message.token)
        .bind(message.lane)
        .bind(value)
        .execute(&group.pool)
        .await;
    match saved {
        Ok(_) => Ok(()),
        Err(error) => Err(error.as_database_error().unwrap().code().unwrap().into()),
    }
}

async fn read(group: &Group, offset: i64) -> Option<Value> {
    sqlx::query_scalar("SELECT vulkan.checkpoint_of($1, $2)")
        .bind(group.id)
        .bind(offset)
        .fetch_one(&group.pool)
        .await
        .unwrap()
}

async fn count(db: &TestDb) -> i64 {
    db.value("SELECT count(*) FROM vulkan.checkpoints").await
}

fn both() -> [Publish; 2] {
    [Publish::new("n"), Publish::keyed("k")]
}

#[tokio::test]
async fn the_next_attempt_finds_it_and_done_forgets_it() {
    for publish in both() {
        let db = TestDb::new().await;
        let group = db.group("g").await;
        publish.send(&db.pool).await;
        let first = group.claim_one().await;
        assert_eq!(read(&group, first.offset).await, None);
        save(&group, &first, &json!({"at": 1})).await.unwrap();
        save(&group, &first, &json!({"at": 2})).await.unwrap();
        group.settle_one(&first, "retry").await;
        db.all_due().await;
        let second = group.claim_one().await;
        assert_eq!(read(&group, first.offset).await, Some(json!({"at": 2})));
        // The first attempt's worker has nothing to say any more.
        let late = save(&group, &first, &json!("late")).await;
        assert_eq!(late, Err("VK007".into()));
        save(&group, &second, &json!(3)).await.unwrap();
        group.done(&[second]).await;
        assert_eq!(count(&db).await, 0);
        db.check().await;
    }
}

#[tokio::test]
async fn it_survives_a_lost_lease_and_a_redrive_and_not_a_replay() {
    for publish in both() {
        let db = TestDb::new().await;
        let group = db.group("g").await.with("max_attempts = 2").await;
        publish.send(&db.pool).await;
        let lost = group.claim_one().await;
        save(&group, &lost, &json!("so far")).await.unwrap();
        db.lose_leases().await;
        let late = save(&group, &lost, &json!("late")).await;
        assert_eq!(late, Err("VK007".into()));
        let again = group.claim_one().await;
        assert_eq!(read(&group, lost.offset).await, Some(json!("so far")));
        group.settle_one(&again, "dead").await;
        // Looked at and left: a redrive may want it.
        db.run(
            "UPDATE vulkan.checkpoints SET look_at = clock_timestamp(); SELECT vulkan.maintain()",
        )
        .await;
        db.run("SELECT vulkan.redrive('orders', 'g')").await;
        let redriven = group.claim_one().await;
        assert_eq!(read(&group, redriven.offset).await, Some(json!("so far")));
        db.run("SELECT vulkan.replay('orders', 'g', to_position => 'earliest')")
            .await;
        assert_eq!(read(&group, redriven.offset).await, None);
        db.check().await;
    }
}

#[tokio::test]
async fn maintenance_forgets_those_of_done_messages_and_looks_at_others_ever_more_rarely() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    for publish in both().into_iter().chain([Publish::new("failed")]) {
        publish.send(&db.pool).await;
    }
    let held = group.claim().await;
    for message in &held {
        save(&group, message, &json!(1)).await.unwrap();
    }
    let sweep = "SELECT vulkan.sweep_checkpoints()";
    assert_eq!(db.value::<i32>(sweep).await, 0, "it is not their turn");
    db.run("UPDATE vulkan.checkpoints SET look_at = clock_timestamp(), updated_at = clock_timestamp() - interval '1 hour'")
        .await;
    assert_eq!(db.value::<i32>(sweep).await, 0, "they are in work");
    let later = "SELECT bool_and(look_at > clock_timestamp() + interval '59 minutes') FROM vulkan.checkpoints";
    assert!(db.value::<bool>(later).await);
    // The first two are done with their claim and their run, which leave no row; the third has one.
    let closing = crate::support::Settlement::closing(&held);
    let closing = held
        .iter()
        .fold(closing, |all, message| match message.lane {
            Some(_) => all.item(message, "done"),
            None if message.offset == held[2].offset => all.item(message, "dead"),
            None => all,
        });
    group.settle(&closing).await;
    db.run("UPDATE vulkan.checkpoints SET look_at = clock_timestamp()")
        .await;
    db.run("SELECT vulkan.maintain()").await;
    assert_eq!(count(&db).await, 1);
    assert_eq!(read(&group, held[2].offset).await, Some(json!(1)));
    db.check().await;
}

#[tokio::test]
async fn complete_forgets_it_with_the_transaction() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    let offset = Publish::new("n").send(&db.pool).await;
    let message = group.claim_one().await;
    save(&group, &message, &json!(1)).await.unwrap();
    for commits in [false, true] {
        let mut tx = db.pool.begin().await.unwrap();
        sqlx::query("SELECT vulkan.complete($1, $2, $3)")
            .bind(group.id)
            .bind(offset)
            .bind(message.token)
            .execute(&mut *tx)
            .await
            .unwrap();
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        assert_eq!(read(&group, offset).await.is_none(), commits);
    }
}

#[tokio::test]
async fn a_megabyte_is_the_most() {
    let db = TestDb::new().await;
    let group = db.group("g").await;
    Publish::new("n").send(&db.pool).await;
    let message = group.claim_one().await;
    let most = json!("x".repeat((1 << 20) - 2));
    save(&group, &message, &most).await.unwrap();
    let more = json!("x".repeat((1 << 20) - 1));
    assert_eq!(save(&group, &message, &more).await, Err("VK003".into()));
    assert_eq!(read(&group, message.offset).await, Some(most));
}

/// What the reaper takes away and who still writes meet: either the checkpoint is there when the message is handed out
/// again, or it is refused.
#[tokio::test]
async fn a_reaper_waits_for_a_checkpoint_under_way() {
    for publish in both() {
        let db = TestDb::new().await;
        let group = db.group("g").await;
        publish.send(&db.pool).await;
        let message = group.claim_one().await;
        let mut tx = db.pool.begin().await.unwrap();
        sqlx::query("SELECT vulkan.save_checkpoint($1, $2, $3, $4, '1')")
            .bind(group.id)
            .bind(message.offset)
            .bind(message.token)
            .bind(message.lane)
            .execute(&mut *tx)
            .await
            .unwrap();
        let pool = db.pool.clone();
        // Its lease runs out meanwhile. The reaper passes over what is locked, and who moves its lease waits.
        let expire = tokio::spawn(async move {
            let sql = "UPDATE vulkan.claims SET lease_until = clock_timestamp() - interval '1 second' WHERE settled_at IS NULL;
                       UPDATE vulkan.lanes SET lease_until = clock_timestamp() - interval '1 second' WHERE status = 'processing'";
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        });
        db.until_blocked().await;
        db.run("SELECT vulkan.reap()").await;
        assert!(group.claim().await.is_empty());
        tx.commit().await.unwrap();
        expire.await.unwrap();
        db.run("SELECT vulkan.reap()").await;
        let again = group.claim_one().await;
        assert_eq!(read(&group, again.offset).await, Some(json!(1)));
        db.check().await;
    }
}
