use std::sync::Arc;

use tokio::task::JoinHandle;
use vulkan::{Client, Delivery, Error};

use super::support::{Gate, Keeper, Running, on, options, until};
use crate::support::{Publish, TestDb, within};

/// What goes wrong with the first attempt.
#[derive(Clone, Copy, PartialEq)]
enum Mishap {
    /// The handler fails after its commit.
    AfterCommit,
    /// The transaction is rolled back.
    Rollback,
    /// The gate stands before the message is marked done.
    BeforeComplete,
    /// The gate stands between that and the commit.
    BeforeCommit,
    /// A gate stands in both places.
    BeforeBoth,
}

/// A database with a table of effects, and a worker whose first attempts meet with a mishap.
struct Scene {
    db: Arc<TestDb>,
    gate: Keeper,
    stale: Keeper,
    running: Running,
}

impl Scene {
    async fn new(mishap: Mishap) -> Self {
        let db = TestDb::new().await;
        db.run("CREATE TABLE effects (message bigint, attempt integer)")
            .await;
        let client = db.client().await;
        let (gate, keeper) = Gate::new();
        let (stale, stales) = Gate::new();
        let handler = on(options("once"), move |delivery| {
            let (client, gate, stale) = (client.clone(), gate.clone(), stale.clone());
            Box::pin(async move { handle(&client, delivery, mishap, &gate, &stale).await })
        });
        let running = Running::start(db.worker().await.register(handler));
        Self {
            db: Arc::new(db),
            gate: keeper,
            stale: stales,
            running,
        }
    }

    /// Loses every lease, beside what goes on: it may have to wait for the handler's transaction.
    fn lose_leases(&self) -> JoinHandle<()> {
        let db = Arc::clone(&self.db);
        tokio::spawn(async move { db.lose_leases().await })
    }

    /// Everything is over: one effect, and it is this attempt's.
    async fn settles(mut self, offset: i64, attempts: i32, effect: i32) {
        self.db
            .until_stands("once", offset, "done", |stand| stand.status == "done")
            .await;
        self.running.shutdown().stop();
        self.running.ended().await.unwrap();
        assert!(self.db.stand("once", offset).await.is("done", attempts));
        let effects: Vec<i32> =
            sqlx::query_scalar("SELECT attempt FROM effects WHERE message = $1")
                .bind(offset)
                .fetch_all(&self.db.pool)
                .await
                .unwrap();
        assert_eq!(effects, [effect]);
        assert!(self.gate.nothing_else());
        self.db.check().await;
    }
}

async fn handle(
    client: &Client,
    delivery: &Delivery,
    mishap: Mishap,
    gate: &Gate,
    stale: &Gate,
) -> vulkan::Result {
    let first = delivery.attempt() == 1;
    let mut tx = client.begin().await?;
    sqlx::query("INSERT INTO effects VALUES ($1, $2)")
        .bind(delivery.offset())
        .bind(i32::try_from(delivery.attempt())?)
        .execute(&mut *tx)
        .await?;
    if first && matches!(mishap, Mishap::BeforeComplete | Mishap::BeforeBoth) {
        gate.pass(delivery.offset()).await;
    }
    if let Err(error) = delivery.complete_in(&mut *tx).await {
        if matches!(error, Error::Stale(_)) {
            stale.tell(delivery.offset());
        }
        return Err(error.into());
    }
    if first && matches!(mishap, Mishap::BeforeCommit | Mishap::BeforeBoth) {
        gate.pass(delivery.offset()).await;
    }
    if first && mishap == Mishap::Rollback {
        return Err("rolled back".into());
    }
    tx.commit().await?;
    match first && mishap == Mishap::AfterCommit {
        true => Err("failed after the commit".into()),
        false => Ok(()),
    }
}

fn both() -> [Publish; 2] {
    [Publish::new("a"), Publish::keyed("k")]
}

#[tokio::test]
async fn a_failure_after_the_commit_changes_nothing() {
    for publish in both() {
        let scene = Scene::new(Mishap::AfterCommit).await;
        let offset = publish.send(&scene.db.pool).await;
        scene.settles(offset, 1, 1).await;
    }
}

#[tokio::test]
async fn what_is_rolled_back_is_done_again() {
    for publish in both() {
        let scene = Scene::new(Mishap::Rollback).await;
        let offset = publish.send(&scene.db.pool).await;
        scene.settles(offset, 2, 2).await;
    }
}

#[tokio::test]
async fn who_lost_the_lease_before_it_completes_is_refused() {
    for publish in both() {
        let mut scene = Scene::new(Mishap::BeforeComplete).await;
        let offset = publish.send(&scene.db.pool).await;
        assert_eq!(scene.gate.next().await, offset);
        within("the lease to be lost", scene.lose_leases())
            .await
            .unwrap();
        scene
            .db
            .until_stands("once", offset, "handled again", |stand| stand.is("done", 2))
            .await;
        scene.gate.let_go(1);
        assert_eq!(scene.stale.next().await, offset);
        scene.settles(offset, 2, 2).await;
    }
}

/// The lease is lost while the message is marked done in a transaction that is still open.
async fn commits_after_the_lease_is_lost(mut scene: Scene, offset: i64) {
    assert_eq!(scene.gate.next().await, offset);
    let losing = scene.lose_leases();
    until(
        "the reaper to wait for the transaction, or to be through",
        || async {
            losing.is_finished()
                || scene
                    .db
                    .value::<bool>(
                        "SELECT EXISTS (SELECT FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock')",
                    )
                    .await
        },
    )
    .await;
    scene.gate.let_go(1);
    within("the reaper", losing).await.unwrap();
    scene.settles(offset, 1, 1).await;
}

#[tokio::test]
async fn who_completed_before_the_lease_was_lost_commits() {
    for publish in both() {
        let scene = Scene::new(Mishap::BeforeCommit).await;
        let offset = publish.send(&scene.db.pool).await;
        commits_after_the_lease_is_lost(scene, offset).await;
    }
}

#[tokio::test]
async fn who_completed_a_message_with_a_row_of_its_own_commits() {
    let mut scene = Scene::new(Mishap::BeforeBoth).await;
    let offset = Publish::new("a").send(&scene.db.pool).await;
    assert_eq!(scene.gate.next().await, offset);
    until("a row of its own", || async {
        scene
            .db
            .value::<bool>(
                "SELECT EXISTS (SELECT FROM vulkan.exceptions WHERE status = 'processing')",
            )
            .await
    })
    .await;
    scene.gate.let_go(1);
    commits_after_the_lease_is_lost(scene, offset).await;
}
