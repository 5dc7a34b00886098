//! F10 to F13: transactions that commit late, and snapshots that are held.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use vulkan::{Client, Message};

use crate::Result;
use crate::checker::quantile;
use crate::child::{Deed, Job};
use crate::clock::mono_us;
use crate::ledger::Entry;
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F10.
pub(super) async fn late_commits(plan: Plan) -> Result<Outcome> {
    let setup = Setup {
        lanes: 16,
        hold_ms: 100,
        ..Setup::base()
    };
    let mut stand = Stand::under_load(&plan, "f10", setup).await?;
    for nth in 0..plan.form(2, 5) {
        stand.add_reader(&format!("reader-{nth}"))?;
    }
    stand.run_for(plan.of(10.0, 1800.0)).await?;
    // A publisher that does not end: nobody passes it, and it is named.
    let client = Client::new(stand.pool().clone());
    let mut held = client.begin().await?;
    let id = 1 << 60;
    let job = Job {
        id,
        deed: Deed::Work,
        pad: String::new(),
    };
    stand.note(Entry::Invoke {
        id,
        key: None,
        dedup: false,
    });
    let offset = client
        .publish_in(&mut *held, Message::new("load", "plain.made", &job)?)
        .await?;
    stand.run_for(plan.of(4.0, 1500.0)).await?;
    let named: bool = stand
        .server
        .value("SELECT count(*) > 0 FROM vulkan.lso_holders WHERE stream = 'load'")
        .await?;
    let passed: i64 = stand
        .server
        .value(&format!(
            "SELECT count(*) FROM vulkan.groups g WHERE vulkan.cursor_of(g.group_id) >= {offset}"
        ))
        .await?;
    held.commit().await?;
    stand.note(Entry::Ok { id, offset });
    stand.back("the stable end of the log");
    let flows = stand.until_flows(20).await?;
    stand.expect(
        "the open publisher is named by vulkan.lso_holders",
        named.to_string(),
        "true",
        named,
    );
    stand.expect(
        "groups that passed it",
        passed.to_string(),
        "0",
        passed == 0,
    );
    stand.expect(
        "work in every group after its commit",
        format!("{flows:.1} s"),
        "<= 5 s",
        flows <= 5.0,
    );
    stand.expect_all_alive()?;
    // Readers have what is there before they are ended.
    stand.run_for(2.0).await?;
    stand.finish().await
}

/// F11.
pub(super) async fn foreign_transaction(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f11", Setup::base()).await?;
    let mut foreign = PgConnection::connect(&stand.server.maintenance_url()).await?;
    sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()")
        .execute(&mut foreign)
        .await?;
    let from = mono_us();
    stand.run_for(plan.of(10.0, 600.0)).await?;
    let mut delays = stand.delays(from, mono_us());
    let p99 = quantile(&mut delays, 0.99);
    foreign.close().await?;
    stand.expect(
        "from commit to handler, p99",
        format!("{p99:.2} s"),
        "<= 1 s",
        p99 <= 1.0,
    );
    stand.finish().await
}

/// F12.
pub(super) async fn held_xmin(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f12", Setup::base()).await?;
    let long = plan.of(8.0, 60.0);
    let from = mono_us();
    stand.run_for(long).await?;
    let (before, mut claims) = (
        stand.throughput(from, mono_us()),
        stand.claims(from, mono_us()),
    );
    let usual = quantile(&mut claims, 0.99);
    let mut holder = stand.pool().begin().await?;
    sqlx::query("SELECT pg_current_xact_id()")
        .execute(&mut *holder)
        .await?;
    stand.run_for(plan.of(10.0, 600.0)).await?;
    let from = mono_us();
    stand.run_for(long).await?;
    let (during, mut claims) = (
        stand.throughput(from, mono_us()),
        stand.claims(from, mono_us()),
    );
    let held = quantile(&mut claims, 0.99);
    holder.rollback().await?;
    let share = during / before * 100.0;
    stand.expect(
        "throughput with the snapshot held",
        format!("{share:.0} % of {before:.0} messages/s"),
        ">= 80 %",
        share >= 80.0,
    );
    // A claim of a millisecond that takes five is no collapse.
    let most = (usual * 5.0).max(0.025);
    stand.expect(
        "claim, p99",
        format!("{:.0} ms after {:.0} ms", held * 1e3, usual * 1e3),
        format!("<= {:.0} ms", most * 1e3),
        held <= most,
    );
    stand.finish().await
}

/// F13.
pub(super) async fn scans(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f13", Setup::base()).await?;
    let (rounds, long) = (plan.of(2, 7), plan.form(6, 120));
    let from = mono_us();
    let mut scans = tokio::task::JoinSet::new();
    for third in 0..3_u64 {
        let pool = stand.pool().clone();
        scans.spawn(async move {
            // They overlap: there is never a moment without an old snapshot.
            tokio::time::sleep(Duration::from_secs(long * third / 3)).await;
            for _ in 0..rounds {
                let mut tx = pool.begin().await?;
                sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    .execute(&mut *tx)
                    .await?;
                sqlx::query("SELECT count(*), pg_sleep($1) FROM vulkan.events")
                    .bind(long as f64)
                    .execute(&mut *tx)
                    .await?;
                tx.rollback().await?;
            }
            Ok::<_, sqlx::Error>(())
        });
    }
    while let Some(scan) = scans.join_next().await {
        scan??;
    }
    stand.refresh()?;
    let mut claims = stand.claims(from, mono_us());
    let p99 = quantile(&mut claims, 0.99) * 1e3;
    let backlog: i64 = stand
        .server
        .value("SELECT max(vulkan.group_backlog('load', g.name)) FROM vulkan.groups g")
        .await?;
    let most = (stand.plan.rate * 5.0) as i64;
    stand.expect(
        "backlog at the end",
        backlog.to_string(),
        format!("<= 5 s of input = {most}"),
        backlog <= most,
    );
    stand.expect(
        "claim, p99",
        format!("{p99:.0} ms"),
        "<= 25 ms on a machine of its own",
        p99 <= 25.0 || !stand.plan.long,
    );
    stand.finish().await
}
