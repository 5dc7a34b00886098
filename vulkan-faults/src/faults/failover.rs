//! F25: a standby takes over, a synchronous one and one that lags.

use std::collections::BTreeSet;

use futures::StreamExt;
use sqlx::PgExecutor;
use vulkan::{Client, Error, Position};

use crate::Result;
use crate::child::STREAM;
use crate::ledger::Entry;
use crate::proxy::{Proxy, Toxics};
use crate::server::{PORT, Stop};
use crate::stand::{Outcome, Plan, Setup, Stand};

/// A run with a standby, whose workers and publishers go through a proxy, as through an address that outlives a server.
async fn with_a_standby(plan: &Plan, name: &'static str, waits: bool) -> Result<(Stand, Proxy)> {
    let mut stand = Stand::start(plan, name, Setup::base()).await?;
    stand.server.add_standby().await?;
    if waits {
        stand.server.wait_for_standby().await?;
    }
    let proxy = Proxy::start(stand.server.target(PORT)?).await?;
    stand.url = stand.server.url_at(proxy.port());
    stand.load().await?;
    Ok((stand, proxy))
}

/// F25, with a standby that commits wait for.
pub(super) async fn synchronous(plan: Plan) -> Result<Outcome> {
    let (mut stand, proxy) = with_a_standby(&plan, "f25", true).await?;
    stand.run_for(plan.of(5.0, 120.0)).await?;
    stand.gone("the server");
    stand.server.stop(Stop::Crash).await?;
    // Claims and reports do not wait for the standby, as they do not wait for the disk.
    stand.note(Entry::Crash);
    let server = stand.server.promote().await?;
    proxy.point_to(server);
    go_on(stand).await
}

/// F25, with a standby that is behind.
pub(super) async fn asynchronous(plan: Plan) -> Result<Outcome> {
    let (mut stand, proxy) = with_a_standby(&plan, "f25-async", false).await?;
    stand.add_reader("outside")?;
    stand.run_for(plan.of(5.0, 120.0)).await?;
    stand.note(Entry::Behind);
    stand.server.cut_off_standby().await?;
    stand.run_for(plan.form(3.0, 10.0)).await?;
    stand.gone("the server");
    // As whoever lets another take over must see to: nobody gets to the first any more, which is looked at again below.
    proxy.set(Toxics {
        refuse: true,
        ..Toxics::default()
    });
    stand.server.stop(Stop::Crash).await?;
    stand.note(Entry::Crash);
    let server = stand.server.promote().await?;
    compare(&mut stand).await?;
    // As its operator is told to: the offsets that were lost are given to no other event.
    stand.server.run("SELECT vulkan.roll_slot()").await?;
    proxy.point_to(server);
    proxy.set(Toxics::default());
    go_on(stand).await
}

/// What the server that was had, and the one that has taken over has not, is what was not replicated.
async fn compare(stand: &mut Stand) -> Result<()> {
    let not_replicated = stand.server.not_replicated().await?;
    let kept: BTreeSet<_> = published(stand.pool()).await?.into_iter().collect();
    let mut past = stand.server.look_back().await?;
    let had = published(&mut past).await?;
    let newest = had.iter().map(|(offset, ..)| *offset).max();
    let ids = |all: BTreeSet<Published>| -> BTreeSet<(i64, u64)> {
        (all.into_iter())
            .map(|(offset, id, _)| (offset, id))
            .collect()
    };
    let due = (had.iter().copied()).filter(|(.., by)| not_replicated.contains(by));
    let due = ids(due.collect());
    let (had, kept) = (ids(had), ids(kept));
    let lost: BTreeSet<_> = had.difference(&kept).copied().collect();
    stand.expect(
        "events lost",
        format!("{} of {} not replicated", lost.len(), due.len()),
        "exactly those that were not replicated, and some",
        lost == due && !lost.is_empty() && kept.is_subset(&had) && !kept.is_empty(),
    );
    // Who keeps a position elsewhere may be ahead of the log now.
    let newest = newest.ok_or("nothing was published")?;
    let client = Client::new(stand.pool().clone());
    let told = match client.read(STREAM, Position::After(newest)).await {
        Ok(mut events) => {
            let patience = std::time::Duration::from_secs(5);
            match tokio::time::timeout(patience, events.next()).await {
                Ok(Some(Err(error))) => Some(error),
                _ => None,
            }
        }
        Err(error) => Some(error),
    };
    stand.expect(
        "a position beyond the newest event",
        (told.as_ref()).map_or_else(|| "nothing is said".into(), ToString::to_string),
        "refused by name",
        matches!(told, Some(Error::BeyondLog(_))),
    );
    stand.forgotten = lost;
    Ok(())
}

/// An event: its offset, its id, and the transaction that wrote it.
type Published = (i64, u64, u32);

async fn published(at: impl PgExecutor<'_>) -> Result<BTreeSet<Published>> {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(include_str!("../sql/published.sql"))
        .fetch_all(at)
        .await?;
    rows.into_iter()
        .map(|(offset, id, by)| Ok((offset, id.cast_unsigned(), u32::try_from(by)?)))
        .collect()
}

async fn go_on(mut stand: Stand) -> Result<Outcome> {
    stand.back("the server, another one");
    let flows = stand.until_flows(60).await?;
    stand.run_for(stand.plan.of(3.0, 60.0)).await?;
    stand.expect_flow("after the standby took over", flows, 5.0);
    stand.finish().await
}
