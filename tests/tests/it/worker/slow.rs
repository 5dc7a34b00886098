use std::time::Duration;

use vulkan::HandlerError;

use super::support::{Gate, Keeper, Running, on, options, until};
use crate::support::{Publish, TestDb};

const LEASE: Duration = Duration::from_secs(1);

/// A handler that takes until the gate opens, unless the kind is quick.
fn slow(gate: Gate) -> impl vulkan::Handler<()> {
    on(options("slow").lease(LEASE), move |delivery| {
        let (gate, offset) = (gate.clone(), delivery.offset());
        let quick = delivery.kind() == "quick";
        Box::pin(async move {
            if !quick {
                gate.pass(offset).await;
            }
            Ok(())
        })
    })
}

/// Waits until what is in work has been so for more than twice its lease.
async fn two_leases_later(db: &TestDb, table: &str) {
    let sql = format!(
        "SELECT bool_and(clock_timestamp() - claimed_at > interval '2200 ms' AND lease_until > clock_timestamp())
         FROM vulkan.{table} WHERE status = 'processing'"
    );
    until("two leases to pass with the third held", || async {
        sqlx::query_scalar::<_, Option<bool>>(sqlx::AssertSqlSafe(sql.clone()))
            .fetch_one(&db.pool)
            .await
            .unwrap()
            == Some(true)
    })
    .await;
}

#[tokio::test]
async fn a_slow_message_outlives_its_claim_and_is_handed_out_once() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    // In one transaction, so in one claim.
    let mut tx = db.pool.begin().await.unwrap();
    let before = Publish::new("quick").send(&mut *tx).await;
    let offset = Publish::new("slow").send(&mut *tx).await;
    let after = Publish::new("quick").send(&mut *tx).await;
    tx.commit().await.unwrap();
    let workers = [
        Running::start(db.worker().await.register(slow(gate.clone()))),
        Running::start(db.worker().await.register(slow(gate))),
    ];
    assert_eq!(came.next().await, offset);
    // The claim is closed within the settle bound, a third of the lease here.
    until("the slow message to have a row of its own", || async {
        db.value::<bool>(
            "SELECT EXISTS (SELECT FROM vulkan.exceptions WHERE status = 'processing')",
        )
        .await
    })
    .await;
    assert!(db.stand("slow", before).await.is("done", 1));
    assert!(db.stand("slow", after).await.is("done", 1));
    assert!(db.stand("slow", offset).await.is("processing", 1));
    let open: i64 = db
        .value("SELECT count(*) FROM vulkan.claims WHERE settled_at IS NULL")
        .await;
    assert_eq!(open, 0);

    two_leases_later(&db, "exceptions").await;
    assert!(came.nothing_else());
    came.let_go(1);
    db.until_is("slow", offset, "done", 1).await;
    for running in workers {
        running.stop().await.unwrap();
    }
    assert!(came.nothing_else());
    db.check().await;
}

/// Who serves the group extends by the lease that it has now, not by the one that it had.
#[tokio::test]
async fn a_lease_that_is_shortened_meanwhile_is_kept() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let handler = on(options("shorter"), move |delivery| {
        let (gate, offset) = (gate.clone(), delivery.offset());
        Box::pin(async move {
            gate.pass(offset).await;
            Ok(())
        })
    });
    let running = Running::start(db.worker().await.register(handler));
    let mut offsets = vec![Publish::new("n").send(&db.pool).await];
    came.next().await;
    db.run("SELECT vulkan.alter_group('orders', 'shorter', lease => '5 seconds')")
        .await;
    offsets.push(Publish::new("n").send(&db.pool).await);
    came.next().await;
    // Longer than it took to extend the lease that it had.
    let held_for_long = "SELECT count(*) FROM vulkan.exceptions
                         WHERE status = 'processing' AND clock_timestamp() - claimed_at > interval '14 s'";
    until(
        "both to be held for long, or handed out again",
        async || !came.nothing_else() || db.value::<i64>(held_for_long).await == 2,
    )
    .await;
    came.let_go(2);
    for offset in offsets {
        db.until_is("shorter", offset, "done", 1).await;
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_slow_run_of_a_key_keeps_its_lane() {
    let db = TestDb::new().await;
    let (gate, mut came) = Gate::new();
    let first = Publish::keyed("k").send(&db.pool).await;
    let second = Publish::keyed("k").send(&db.pool).await;
    let workers = [
        Running::start(db.worker().await.register(slow(gate.clone()))),
        Running::start(db.worker().await.register(slow(gate))),
    ];
    assert_eq!(came.next().await, first);
    two_leases_later(&db, "lanes").await;
    came.let_go(1);
    assert_eq!(came.next().await, second);
    // What of a run is done is reported while it goes on.
    db.until_is("slow", first, "done", 1).await;
    assert!(db.stand("slow", second).await.is("processing", 1));
    came.let_go(1);
    db.until_is("slow", second, "done", 1).await;
    for running in workers {
        running.stop().await.unwrap();
    }
    assert!(came.nothing_else());
    db.check().await;
}

/// A message whose first attempt loses its lease: what it says then must not count.
async fn stalls(publish: Publish, in_its_own_row: bool) {
    let db = TestDb::new().await;
    let (begun, mut begins) = Gate::new();
    let (told, mut tells) = Gate::new();
    let handler = || {
        let (begun, told) = (begun.clone(), told.clone());
        // Its extensions come once a second.
        on(options("stalls").lease(3 * LEASE), move |delivery| {
            let (begun, told) = (begun.clone(), told.clone());
            Box::pin(async move {
                begun.tell(delivery.offset());
                if delivery.attempt() > 1 {
                    return Ok(());
                }
                delivery.cancelled().await;
                told.tell(delivery.offset());
                Err(HandlerError::dead("said too late"))
            })
        })
    };
    let offset = publish.send(&db.pool).await;
    let workers = [
        Running::start(db.worker().await.register(handler())),
        Running::start(db.worker().await.register(handler())),
    ];
    assert_eq!(begins.next().await, offset);
    if in_its_own_row {
        until("a row of its own", || async {
            db.value::<bool>(
                "SELECT EXISTS (SELECT FROM vulkan.exceptions WHERE status = 'processing')",
            )
            .await
        })
        .await;
    }
    lose_leases(&db, offset).await;
    // It is handed out again, alone, beside the one who does not know yet.
    assert_eq!(begins.next().await, offset);
    db.until_is("stalls", offset, "done", 2).await;
    // It is told when its settlement, or the next extension, finds the lease gone.
    assert_eq!(tells.next().await, offset);
    for running in workers {
        running.stop().await.unwrap();
    }
    let stand = db.stand("stalls", offset).await;
    assert!(stand.is("done", 2), "{stand:?}");
    assert!(stand.last_error.unwrap().starts_with("the lease of worker"));
    assert!(begins.nothing_else() && tells.nothing_else());
    db.check().await;
}

/// Lets the lease of what is in work run out, in one transaction, and reaps.
async fn lose_leases(db: &TestDb, offset: i64) {
    until("the lease to be lost", || async {
        let mut tx = db.pool.begin().await.unwrap();
        sqlx::raw_sql(
            "UPDATE vulkan.claims SET lease_until = clock_timestamp() - interval '1 second' WHERE settled_at IS NULL;
             UPDATE vulkan.exceptions SET lease_until = clock_timestamp() - interval '1 second' WHERE status = 'processing';
             UPDATE vulkan.lanes SET lease_until = clock_timestamp() - interval '1 second' WHERE status = 'processing';
             SELECT vulkan.reap()",
        )
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        db.stand("stalls", offset).await.last_error.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_loses_a_claim_has_no_say_any_more() {
    stalls(Publish::new("a"), false).await;
}

#[tokio::test]
async fn a_worker_that_loses_a_message_has_no_say_any_more() {
    stalls(Publish::new("a"), true).await;
}

#[tokio::test]
async fn a_worker_that_loses_a_lane_has_no_say_any_more() {
    stalls(Publish::keyed("k"), false).await;
}

#[tokio::test]
async fn what_came_back_from_a_lost_lease_is_handled_alone() {
    let db = TestDb::new().await;
    let (gate, mut came): (Gate, Keeper) = Gate::new();
    // A worker that died with three messages.
    let group = db.group("slow").await;
    let mut offsets = Vec::new();
    for key in [None, None, Some("k")] {
        let publish = Publish::new("a");
        let publish = key.map_or(publish.clone(), |key| publish.key(key));
        offsets.push(publish.send(&db.pool).await);
    }
    assert_eq!(group.claim().await.len(), 3);
    db.lose_leases().await;

    let running = Running::start(db.worker().await.register(slow(gate)));
    let mut again = vec![came.next().await];
    // Others are not held up by it.
    let fresh = Publish::new("quick").send(&db.pool).await;
    db.until_is("slow", fresh, "done", 1).await;
    assert!(came.nothing_else());
    for _ in 1..3 {
        came.let_go(1);
        again.push(came.next().await);
        assert!(came.nothing_else());
    }
    came.let_go(1);
    for offset in &offsets {
        db.until_is("slow", *offset, "done", 2).await;
    }
    again.sort_unstable();
    assert_eq!(again, offsets);
    running.stop().await.unwrap();
    db.check().await;
}
