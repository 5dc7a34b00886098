//! F7 to F9: connections that go silent, that are reset, and that are slow.

use std::time::Duration;

use crate::Result;
use crate::clock::mono_us;
use crate::ledger::Entry;
use crate::proxy::{Proxy, Toxics};
use crate::server::PORT;
use crate::stand::{Outcome, Plan, Setup, Stand};

/// A run whose workers and publishers go through a proxy.
async fn behind_a_proxy(plan: &Plan, name: &'static str, setup: Setup) -> Result<(Stand, Proxy)> {
    let mut stand = Stand::start(plan, name, setup).await?;
    let proxy = Proxy::start(stand.server.target(PORT)?).await?;
    stand.url = stand.server.url_at(proxy.port());
    stand.load().await?;
    Ok((stand, proxy))
}

/// F7.
pub(super) async fn half_open(plan: Plan) -> Result<Outcome> {
    // Of sessions that fell silent some generations are there at a time.
    let setup = Setup::base().settings(&[("max_connections", "400")]);
    let (mut stand, proxy) = behind_a_proxy(&plan, "f7", setup).await?;
    let (mut slowest, mut said) = (0.0_f64, 0);
    let times = plan.of(1, 20);
    for _ in 0..times {
        stand.gone("every connection that there is");
        let since = mono_us();
        proxy.black_hole();
        stand.back("new connections");
        slowest = slowest.max(stand.until_flows(120).await?);
        stand
            .until("all to be ready again", 60, |stand| stand.all_ready(true))
            .await?;
        said += usize::from(
            stand.count(since, |entry| {
                matches!(entry, Entry::Ready { ready: false, .. })
            }) > 0,
        );
    }
    stand.expect_all_alive()?;
    // A call that gets no answer is given up after 20 s; its connection goes, and those idle since before with it.
    stand.expect(
        "work in every group after all connections fell silent",
        format!("{slowest:.1} s"),
        "<= 25 s",
        slowest <= 25.0,
    );
    stand.expect(
        "times that a worker said that it is not ready",
        format!("{said} of {times}"),
        "all",
        said == times,
    );
    stand.finish().await
}

/// F8.
pub(super) async fn reset(plan: Plan) -> Result<Outcome> {
    let setup = Setup {
        only_once: true,
        ..Setup::base()
    };
    let (mut stand, proxy) = behind_a_proxy(&plan, "f8", setup).await?;
    let most = plan.of(300, 10_000);
    proxy.set(Toxics {
        reset_percent: 4,
        ..Toxics::default()
    });
    while proxy.resets() < most {
        stand.run_for(0.2).await?;
    }
    proxy.set(Toxics::default());
    stand.back("the network");
    stand.until_flows(20).await?;
    stand.expect_all_alive()?;
    stand.expect(
        "connections reset in mid-call",
        proxy.resets().to_string(),
        format!(">= {most}"),
        true,
    );
    stand.finish().await
}

/// F9.
pub(super) async fn slow(plan: Plan) -> Result<Outcome> {
    let (mut stand, proxy) = behind_a_proxy(&plan, "f9", Setup::base()).await?;
    proxy.set(Toxics {
        latency: Duration::from_millis(200),
        jitter: Duration::from_millis(100),
        bandwidth: Some(125_000),
        slice: Some(500),
        slow_close: Duration::from_secs(1),
        ..Toxics::default()
    });
    let begun = mono_us();
    stand.run_for(plan.of(15.0, 300.0)).await?;
    let lost = stand.count(begun, |entry| matches!(entry, Entry::LeaseLost { .. }));
    // A connection that ends in the middle of a message, and no new ones for a while.
    proxy.set(Toxics {
        limit: Some(64_000),
        ..Toxics::default()
    });
    stand.run_for(plan.of(3.0, 30.0)).await?;
    proxy.set(Toxics {
        refuse: true,
        limit: Some(1),
        ..Toxics::default()
    });
    stand.run_for(plan.of(2.0, 20.0)).await?;
    proxy.set(Toxics::default());
    stand.back("the network");
    let recovered = stand.until_flows(20).await?;
    stand.expect_all_alive()?;
    stand.expect(
        "leases lost on the slow link",
        lost.to_string(),
        "0",
        lost == 0,
    );
    stand.expect(
        "work in every group after the network is well",
        format!("{recovered:.1} s"),
        "<= 5 s",
        recovered <= 5.0,
    );
    stand.finish().await
}
