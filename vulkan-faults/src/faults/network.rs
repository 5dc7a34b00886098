//! F7 to F9: connections that go silent, that are reset, and that are slow.

use std::time::Duration;

use crate::Result;
use crate::checker::quantile;
use crate::clock::mono_us;
use crate::ledger::{Entry, How};
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
    let mut setup = Setup::base().settings(&[("max_connections", "400")]);
    // What a handler asks on its own transaction nobody else gives up.
    for group in &mut setup.groups {
        group.timeout_ms = Some(20_000);
    }
    let (mut stand, proxy) = behind_a_proxy(&plan, "f7", setup).await?;
    // Publishers, too, wait for answers that do not come.
    stand.least_load = None;
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
    // A call that gets no answer is given up after 20 s; its connection goes, and those idle since before with it.
    stand.expect_flow("after all connections fell silent", slowest, 25.0);
    stand.inflicted(
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
    let limit = mono_us() + plan.of(300, 7200) * 1_000_000;
    while proxy.resets() < most && mono_us() < limit {
        stand.run_for(0.2).await?;
    }
    proxy.set(Toxics::default());
    stand.back("the network");
    stand.until_flows(20).await?;
    stand.inflicted(
        "connections reset in mid-call",
        proxy.resets().to_string(),
        format!(">= {most}"),
        proxy.resets() >= most,
    );
    stand.inflicted(
        "of them at a COMMIT",
        proxy.commits().to_string(),
        "> 0",
        proxy.commits() > 0,
    );
    stand.finish().await
}

/// F9.
pub(super) async fn slow(plan: Plan) -> Result<Outcome> {
    let (mut stand, proxy) = behind_a_proxy(&plan, "f9", Setup::base()).await?;
    // Eight lanes over such a link.
    stand.least_load = None;
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
    let mut claims = stand.claims(begun, mono_us());
    let p50 = quantile(&mut claims, 0.5);
    let done = stand.count(begun, |entry| {
        matches!(entry, Entry::End { how: How::Done, .. })
    });
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
    stand.inflicted(
        "claim on the slow link, median",
        p50.map_or_else(|| "none".into(), |p50| format!("{p50:.2} s")),
        ">= 0.2 s",
        p50.is_some_and(|p50| p50 >= 0.2),
    );
    stand.expect(
        "messages done over the slow link",
        done.to_string(),
        "> 0",
        done > 0,
    );
    stand.inflicted(
        "connections cut in mid-message, and refused",
        format!("{}, {}", proxy.cuts(), proxy.refusals()),
        "> 0, > 0",
        proxy.cuts() > 0 && proxy.refusals() > 0,
    );
    stand.expect(
        "leases lost on the slow link",
        lost.to_string(),
        "0",
        lost == 0,
    );
    stand.expect_flow("after the network is well", recovered, 5.0);
    stand.finish().await
}
