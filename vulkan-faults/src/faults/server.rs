//! F4 to F6: the server ends sessions, crashes, and is away.

use std::time::Duration;

use crate::Result;
use crate::clock::mono_us;
use crate::ledger::Entry;
use crate::server::Stop;
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F4.
pub(super) async fn terminated(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f4", Setup::base()).await?;
    let before = stand.measured(plan.of(6.0, 30.0)).await?;
    let begun = mono_us();
    let times = plan.of(75, 1500);
    let mut ended = 0_i64;
    for _ in 0..times {
        ended += stand
            .server
            .value::<i64>(include_str!("../sql/terminate_one.sql"))
            .await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stand.refresh()?;
    let during = stand.throughput(begun, mono_us());
    stand.back("the sessions");
    stand.until_flows(20).await?;
    let share = during / before * 100.0;
    stand.inflicted(
        "sessions ended",
        ended.to_string(),
        format!("{times}"),
        ended > i64::from(times) / 2,
    );
    stand.speed(
        "throughput during",
        format!("{share:.0} % of {before:.0} messages/s"),
        ">= 80 %",
        share >= 80.0,
    );
    stand.finish().await
}

/// F5.
pub(super) async fn crashed(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f5", Setup::base()).await?;
    let (mut slowest, mut said) = (0.0_f64, 0);
    let times = plan.of(3, 20);
    for _ in 0..times {
        outage(&mut stand, Stop::Crash, 0.5, &mut slowest, &mut said).await?;
        stand.run_for(plan.of(1.0, 5.0)).await?;
    }
    stand.expect_flow("after the server takes connections", slowest, 5.0);
    // Over before a worker without a call under way can know.
    stand.report(
        "outages in which every worker said that it is not ready",
        format!("{said} of {times}"),
    );
    stand.finish().await
}

/// F6.
pub(super) async fn away(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f6", Setup::base()).await?;
    let (mut slowest, mut said) = (0.0_f64, 0);
    let (times, long) = (plan.of(1, 10), plan.form(8.0, 60.0));
    let (mut busiest, mut grown) = (0.0_f64, 0.0_f64);
    for _ in 0..times {
        let memory: Vec<_> = stand.workers.iter().map(|worker| worker.memory()).collect();
        let cpu: Vec<_> = stand.workers.iter().map(|worker| worker.cpu()).collect();
        outage(&mut stand, Stop::Fast, long, &mut slowest, &mut said).await?;
        for (worker, (cpu, memory)) in stand.workers.iter().zip(cpu.iter().zip(&memory)) {
            // What it took to come back is counted in, which only makes it harder.
            if let (Some(was), Some(is)) = (cpu, worker.cpu()) {
                busiest = busiest.max((is - was) / long * 100.0);
            }
            if let (Some(was), Some(is)) = (memory, worker.memory()) {
                grown = grown.max(is as f64 / *was as f64 * 100.0 - 100.0);
            }
        }
        // And stopped and started at once, which need not be noticed.
        outage(&mut stand, Stop::Fast, 0.0, &mut slowest, &mut 0).await?;
    }
    stand.speed(
        "CPU of a worker while it is away",
        format!("{busiest:.1} % of a core"),
        "<= 5 %",
        busiest <= 5.0,
    );
    stand.speed(
        "memory grown",
        format!("{grown:.0} %"),
        "<= 30 %",
        grown <= 30.0,
    );
    stand.expect_flow("after the server takes connections", slowest, 5.0);
    stand.expect(
        "outages in which every worker said that it is not ready",
        format!("{said} of {times}"),
        "all",
        said == times,
    );
    stand.finish().await
}

/// Stops the server for so many seconds, and waits until work flows again.
async fn outage(
    stand: &mut Stand,
    how: Stop,
    long: f64,
    slowest: &mut f64,
    said: &mut usize,
) -> Result<()> {
    stand.gone("the server");
    let since = mono_us();
    stand.server.stop(how).await?;
    if how == Stop::Crash {
        stand.note(Entry::Crash);
    }
    tokio::time::sleep(Duration::from_secs_f64(long)).await;
    stand.refresh()?;
    *said += usize::from(
        stand.count(since, |entry| {
            matches!(entry, Entry::Ready { ready: false, .. })
        }) >= stand.workers.len(),
    );
    stand.server.restart().await?;
    stand.back("the server");
    *slowest = slowest.max(stand.until_flows(60).await?);
    stand
        .until("all to be ready again", 10, |stand| stand.all_ready(true))
        .await?;
    Ok(())
}
