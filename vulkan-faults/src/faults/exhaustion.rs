//! F30, F31, and what is hostile in the settings: connections, timeouts, locks, no autovacuum.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::RngExt;
use sqlx::{Connection, PgConnection};
use vulkan::Client;

use crate::Result;
use crate::clock::mono_us;
use crate::ledger::Entry;
use crate::stand::{Event, Outcome, Plan, Setup, Stand};

/// F30.
pub(super) async fn connections(plan: Plan) -> Result<Outcome> {
    let setup = Setup::base().settings(&[("max_connections", "70")]);
    let mut stand = Stand::under_load(&plan, "f30", setup).await?;
    let before = stand.measured(plan.of(5.0, 30.0)).await?;
    stand.gone("free connections");
    let since = mono_us();
    let mut taken = Vec::new();
    let until = since + plan.of(10_u64, 300) * 1_000_000;
    while mono_us() < until {
        // Whoever has one loses it, and what is free goes to us.
        stand
            .server
            .value::<i64>(include_str!("../sql/terminate_all.sql"))
            .await?;
        while let Ok(connection) = PgConnection::connect(&stand.server.maintenance_url()).await {
            taken.push(connection);
        }
        stand.run_for(0.2).await?;
    }
    let said = stand.count(since, |entry| {
        matches!(entry, Entry::Ready { ready: false, .. })
    });
    let many = taken.len();
    for connection in taken {
        connection.close().await?;
    }
    stand.back("connections");
    let flows = stand.until_flows(30).await?;
    stand
        .until("all to be ready again", 20, |stand| stand.all_ready(true))
        .await?;
    let after = stand.measured(plan.of(5.0, 30.0)).await?;
    let share = after / before * 100.0;
    stand.inflicted("connections taken", many.to_string(), "> 20", many > 20);
    stand.expect_flow("after connections can be had", flows, 5.0);
    stand.inflicted(
        "times that a worker said that it is not ready",
        said.to_string(),
        "> 0",
        said > 0,
    );
    stand.speed(
        "throughput after",
        format!("{share:.0} % of {before:.0} messages/s"),
        ">= 95 %, backlog included",
        share >= 95.0,
    );
    stand.finish().await
}

/// F31.
pub(super) async fn cancellation(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f31", Setup::base()).await?;
    let client = Client::connect(&stand.url).await?;
    let group: i32 = stand
        .server
        .value("SELECT vulkan.group_id('load', 'single')")
        .await?;
    let many = plan.of(4_000_u32, 100_000);
    let tasks = (0..8).map(|_| drop_calls(client.clone(), group, many / 8));
    let (mut dropped, mut wrong) = (0, Vec::new());
    for (of, told) in futures::future::join_all(tasks).await {
        dropped += of;
        wrong.extend(told);
    }
    let idle: i64 = stand
        .server
        .value(include_str!("../sql/idle_in_transaction.sql"))
        .await?;
    // What was dropped runs to its end, and its locks go with it.
    stand.run_for(2.0).await?;
    let idle_now: i64 = stand
        .server
        .value(include_str!("../sql/idle_in_transaction.sql"))
        .await?;
    client.pool().close().await;
    let first = wrong.first().cloned().unwrap_or_else(|| "none".into());
    // The others were answered first.
    stand.inflicted(
        "calls dropped",
        format!("{dropped} of {many}"),
        "> a fifth",
        dropped > many / 5,
    );
    stand.expect(
        "sessions idle in a transaction for over a second",
        format!("{idle}, then {idle_now}"),
        "0",
        idle == 0 && idle_now == 0,
    );
    stand.expect(
        "aborted transactions handed on (25P02)",
        first,
        "none",
        wrong.is_empty(),
    );
    stand.finish().await
}

/// Drops calls of a client at random moments; returns how many it dropped, and the errors that a poisoned connection
/// gives.
async fn drop_calls(client: Client, group: i32, many: u32) -> (u32, Vec<String>) {
    let (dropped, mut wrong, groups) = (AtomicU32::new(0), Vec::new(), [group]);
    for nth in 0..many {
        let patience = Duration::from_micros(rand::rng().random_range(0..6_000));
        let pause = || async {
            tokio::time::sleep(patience).await;
            dropped.fetch_add(1, Ordering::Relaxed);
        };
        let told = match nth % 5 {
            0 => tokio::select! { told = client.overview() => told.err(), () = pause() => None },
            1 => tokio::select! { told = client.begin() => told.err(), () = pause() => None },
            2 => {
                tokio::select! { told = client.look(&groups) => told.err(), () = pause() => None }
            }
            3 => {
                tokio::select! { told = client.claim(group, "dropped", 5, 1, false) => match told {
                    // What is not dropped gives back what it got.
                    Ok(claimed) => { give_back(&client, group, claimed).await; None }
                    Err(error) => Some(error),
                }, () = pause() => None }
            }
            _ => {
                tokio::select! { told = client.reap(Some(Duration::from_secs(1))) => told.err(), () = pause() => None }
            }
        };
        if let Some(vulkan::Error::Database(error)) = told
            && let Some(error) = error.as_database_error()
            && error.code().as_deref() == Some("25P02")
        {
            wrong.push(error.to_string());
        }
    }
    (dropped.into_inner(), wrong)
}

async fn give_back(client: &Client, group: i32, claimed: Vec<vulkan::engine::Claimed>) {
    use vulkan::engine::{Item, Outcome, Settlement};
    let mut settlement = Settlement::default();
    let mut lanes = std::collections::HashSet::new();
    for message in claimed {
        if let Some(hi) = message.claim_hi
            && !settlement.claims.contains(&(hi, message.token))
        {
            settlement.claims.push((hi, message.token));
        }
        if message.lane.is_none_or(|lane| lanes.insert(lane)) {
            settlement.items.push(Item {
                offset: message.offset,
                token: message.token,
                lane: message.lane,
                outcome: Outcome::Release,
            });
        }
    }
    let _ = client.settle(group, settlement).await;
}

/// Hostile timeouts.
pub(super) async fn timeouts(plan: Plan) -> Result<Outcome> {
    // An attempt that outlasts these timeouts fails, however often: it may, for as long as they are set.
    let setup = Setup::base().retries(1000);
    let mut stand = Stand::under_load(&plan, "timeouts", setup).await?;
    let database = stand.server.database().to_owned();
    stand.gone("patience");
    for (setting, value) in [
        ("statement_timeout", "60ms"),
        ("lock_timeout", "5ms"),
        ("idle_in_transaction_session_timeout", "50ms"),
    ] {
        stand
            .server
            .run(&format!(
                "ALTER DATABASE \"{database}\" SET {setting} = '{value}'"
            ))
            .await?;
    }
    stand
        .server
        .value::<i64>(include_str!("../sql/terminate_all.sql"))
        .await?;
    let from = mono_us();
    stand.run_for(plan.of(10.0, 300.0)).await?;
    let during = stand.throughput(from, mono_us());
    for setting in [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
    ] {
        stand
            .server
            .run(&format!("ALTER DATABASE \"{database}\" RESET {setting}"))
            .await?;
    }
    stand
        .server
        .value::<i64>(include_str!("../sql/terminate_all.sql"))
        .await?;
    stand.back("patience");
    let flows = stand.until_flows(30).await?;
    stand.report("throughput meanwhile", format!("{during:.0} messages/s"));
    stand.expect_flow("after", flows, 5.0);
    stand.finish().await
}

/// An ACCESS EXCLUSIVE lock on each table in turn.
pub(super) async fn locks(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "locks", Setup::base()).await?;
    // Nobody publishes past such a lock.
    stand.least_load = None;
    let tables: Vec<String> = sqlx::query_scalar(include_str!("../sql/tables_to_lock.sql"))
        .fetch_all(stand.pool())
        .await?;
    let mut slowest = (0.0_f64, String::new());
    for table in &tables {
        let mut tx = stand.pool().begin().await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"
        )))
        .execute(&mut *tx)
        .await?;
        stand.run_for(plan.of(0.6, 30.0)).await?;
        tx.rollback().await?;
        stand.back(table);
        let flows = stand.until_flows(60).await?;
        if flows > slowest.0 {
            slowest = (flows, table.clone());
        }
    }
    stand.inflicted(
        "tables locked",
        tables.len().to_string(),
        "all that there are",
        !tables.is_empty(),
    );
    stand.expect(
        "work in every group after a lock was released",
        format!("{:.1} s, {}", slowest.0, slowest.1),
        "<= 5 s",
        slowest.0 <= 5.0,
    );
    stand.finish().await
}

/// Autovacuum off.
pub(super) async fn no_vacuum(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(
        &plan,
        "no-vacuum",
        Setup::base().settings(&[("autovacuum", "off")]),
    )
    .await?;
    stand.calm = true;
    let before = stand.measured(plan.of(4.0, 60.0)).await?;
    stand.run_for(plan.of(10.0, 1800.0)).await?;
    let after = stand.measured(plan.of(4.0, 60.0)).await?;
    let share = after / before * 100.0;
    stand.speed(
        "throughput at the end",
        format!("{share:.0} % of {before:.0} messages/s"),
        ">= 80 %",
        share >= 80.0,
    );
    stand.finish().await
}

/// A payload of 20 MB.
pub(super) async fn large(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "large", Setup::base()).await?;
    // Up to 1 MB is what there is without asking for more.
    stand
        .server
        .run("UPDATE vulkan.meta SET max_payload = 64 * 1024 * 1024")
        .await?;
    let many = plan.of(2, 50);
    let (mut taken, mut refused) = (0, None);
    for nth in 0..many {
        let event = Event {
            key: (nth % 2 == 1).then(|| "large".to_owned()),
            pad: "0123456789abcdef".repeat(20 * 1024 * 1024 / 16),
            ..Event::default()
        };
        match stand.publish_event(event).await? {
            Ok(_) => taken += 1,
            // A limit that says so is an answer, too.
            Err(error @ vulkan::Error::Invalid(_)) => refused = Some(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    stand.inflicted(
        "payloads of 20 MB",
        refused.unwrap_or_else(|| format!("{taken} taken")),
        format!("{many} taken"),
        taken == many,
    );
    stand.run_for(3.0).await?;
    let memory = stand
        .workers
        .iter()
        .filter_map(|worker| worker.memory())
        .max()
        .unwrap_or_default();
    stand.speed(
        "memory of the largest worker",
        format!("{} MB", memory >> 20),
        "<= 1024 MB",
        memory < 1 << 30,
    );
    stand.finish().await
}
