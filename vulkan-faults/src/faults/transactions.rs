//! F10 to F13: transactions that commit late, and snapshots that are held.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use vulkan::Client;

use crate::Result;
use crate::checker::quantile;
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
    stand.calm = true;
    let readers = plan.form(2, 5);
    for nth in 0..readers {
        stand.add_reader(&format!("reader-{nth}"))?;
    }
    stand.run_for(plan.of(10.0, 1800.0)).await?;
    // A publisher that does not end: nobody passes it, and it is named.
    let client = Client::new(stand.pool().clone());
    let mut held = client.begin().await?;
    let (id, offset) = stand.publish_in(&mut held).await?;
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
    stand.expect_flow("after its commit", flows, 5.0);
    stand.end_publishers().await?;
    until_all_read(&mut stand, readers).await?;
    stand.finish().await
}

/// Waits until each reader has the newest event: then it has had all of them.
async fn until_all_read(stand: &mut Stand, readers: usize) -> Result<()> {
    let newest: i64 = stand
        .server
        .value("SELECT max(e.\"offset\") FROM vulkan.events e JOIN vulkan.streams s ON s.stream_id = e.stream_id WHERE s.name = 'load'")
        .await?;
    stand.read_all = (0..readers).map(|nth| format!("reader-{nth}")).collect();
    // Who does not get there is an anomaly of the oracle, which says what it missed.
    let read = stand
        .until("the newest event to every reader", 60, |stand| {
            let has =
                |entry: &Entry| matches!(entry, Entry::Read { offset, .. } if *offset == newest);
            stand.count(0, has) >= readers
        })
        .await;
    stand.expect(
        "readers that read everything",
        match &read {
            Ok(_) => format!("{readers} of {readers}"),
            Err(error) => error.to_string(),
        },
        "all",
        read.is_ok(),
    );
    Ok(())
}

/// F11.
pub(super) async fn foreign_transaction(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f11", Setup::base()).await?;
    stand.calm = true;
    let mut foreign = PgConnection::connect(&stand.server.maintenance_url()).await?;
    sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()")
        .execute(&mut foreign)
        .await?;
    let from = mono_us();
    stand.run_for(plan.of(10.0, 600.0)).await?;
    let to = mono_us();
    // What was published last has its time, too.
    stand.run_for(2.0).await?;
    let mut delays = stand.delays(from, to);
    let p99 = quantile(&mut delays, 0.99);
    let open: i64 = stand
        .server
        .value("SELECT count(*) FROM pg_stat_activity a WHERE a.datname <> current_database() AND a.backend_xid IS NOT NULL")
        .await?;
    foreign.close().await?;
    stand.inflicted(
        "open transactions in another database",
        open.to_string(),
        "> 0",
        open > 0,
    );
    stand.expect(
        "messages that no handler has begun two seconds later",
        delays
            .iter()
            .filter(|delay| delay.is_infinite())
            .count()
            .to_string(),
        "less than 1 %: nobody stands still",
        p99.is_some_and(f64::is_finite),
    );
    stand.speed(
        "from commit to handler, p99",
        p99.map_or_else(
            || "nothing was published".into(),
            |p99| format!("{p99:.2} s"),
        ),
        "<= 1 s",
        p99.is_some_and(|p99| p99 <= 1.0),
    );
    stand.finish().await
}

/// F12.
pub(super) async fn held_xmin(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f12", Setup::base()).await?;
    stand.calm = true;
    let long = plan.of(8.0, 60.0);
    let from = mono_us();
    stand.run_for(long).await?;
    let (before, mut claims) = (
        stand.throughput(from, mono_us()),
        stand.claims(from, mono_us()),
    );
    let usual = quantile(&mut claims, 0.99).ok_or("nothing was claimed before")?;
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
    let held = quantile(&mut claims, 0.99).unwrap_or(f64::INFINITY);
    holder.rollback().await?;
    let share = during / before * 100.0;
    stand.speed(
        "throughput with the snapshot held",
        format!("{share:.0} % of {before:.0} messages/s"),
        ">= 80 %",
        share >= 80.0,
    );
    // A claim of a millisecond that takes five is no collapse.
    let most = (usual * 5.0).max(0.025);
    stand.speed(
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
    stand.calm = true;
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
    let p99 = quantile(&mut claims, 0.99).unwrap_or(f64::INFINITY) * 1e3;
    let backlog: i64 = stand
        .server
        .value("SELECT max(vulkan.group_backlog('load', g.name)) FROM vulkan.groups g")
        .await?;
    let most = (stand.plan.rate * 5.0) as i64;
    stand.speed(
        "backlog at the end",
        backlog.to_string(),
        format!("<= 5 s of input = {most}"),
        backlog <= most,
    );
    stand.speed(
        "claim, p99",
        format!("{p99:.0} ms"),
        "<= 25 ms",
        p99 <= 25.0,
    );
    stand.finish().await
}
