use rand::RngExt;
use serde_json::json;

use super::support::{Process, until};
use crate::support::{Publish, TestDb};

const MESSAGES: i64 = 400;
const KILLS: usize = 15;

fn start(db: &TestDb) -> Process {
    Process::start_as(env!("CARGO_BIN_EXE_tx-worker"), &db.url())
}

async fn all_done(db: &TestDb) {
    until("every message to be done", || async {
        db.count("book", "done").await == MESSAGES && db.count("load", "done").await == MESSAGES
    })
    .await;
}

/// Two processes at work, each killed again and again while transactions are under way, and leases that run out
/// in between under those that live: in the end every message has had its effect once, and its follow-up once.
#[tokio::test(flavor = "multi_thread")]
async fn effects_happen_once_however_often_workers_are_killed() {
    let db = TestDb::new().await;
    db.run(
        "CREATE TABLE effects (consumer_group text, message bigint);
         SELECT vulkan.create_stream('follow-ups')",
    )
    .await;
    let mut processes = [start(&db), start(&db)];
    let mut tx = db.pool.begin().await.unwrap();
    for nth in 0..MESSAGES {
        let publish = Publish::new("n").payload(json!(null));
        let publish = match nth % 2 {
            0 => publish.key(&format!("k{}", nth % 22)),
            _ => publish,
        };
        publish.send(&mut *tx).await;
    }
    tx.commit().await.unwrap();

    for nth in 0..KILLS {
        let process = &mut processes[nth % 2];
        for _ in 0..rand::rng().random_range(1..15) {
            tokio::select! {
                () = process.says("open") => {}
                // The last ones may find nothing left to do.
                () = all_done(&db) => break,
            }
        }
        if nth % 3 == 2 {
            // Those who hold them live, and are in the middle of it.
            db.lose_leases().await;
        } else {
            process.signal("KILL").await;
            assert_eq!(process.exit().await.code(), None);
            *process = start(&db);
        }
    }
    all_done(&db).await;
    for process in &mut processes {
        process.signal("TERM").await;
        assert_eq!(process.exit().await.code(), Some(0));
    }
    let wrong: Vec<(String, i64, i64)> = sqlx::query_as(
        r#"SELECT g.name, e."offset",
                  (SELECT count(*) FROM effects x WHERE x.consumer_group = g.name AND x.message = e."offset") AS effects
           FROM vulkan.events e JOIN vulkan.groups g ON g.stream_id = e.stream_id JOIN vulkan.streams s ON s.stream_id = e.stream_id
           WHERE s.name = 'orders'
             AND ((SELECT count(*) FROM effects x WHERE x.consumer_group = g.name AND x.message = e."offset") <> 1
              OR (SELECT count(*) FROM vulkan.events f JOIN vulkan.streams t ON t.stream_id = f.stream_id
                  WHERE t.name = 'follow-ups' AND f.kind = g.name AND f.payload = to_jsonb(e."offset")) <> 1)"#,
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "not once: {wrong:?}");
    // It was no easy ride: some had to be tried again.
    let again: i64 = db
        .value("SELECT count(*) FROM vulkan.deliveries WHERE attempts > 1")
        .await;
    assert!(again > 0);
    db.check().await;
}
