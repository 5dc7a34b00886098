//! F1 to F3: worker processes that are killed, stand still, and are replaced.

use std::collections::HashMap;
use std::time::Duration;

use rand::RngExt;

use crate::Result;
use crate::checker::quantile;
use crate::child::Deed;
use crate::clock::{mono_us, seconds};
use crate::ledger::{Entry, How};
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F1.
pub(super) async fn killed(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f1", Setup::base()).await?;
    for _ in 0..plan.of(6, 200) {
        let nth = rand::rng().random_range(0..stand.workers.len());
        stand.kill_worker(nth).await?;
        stand.run_for(plan.of(2.0, 3.0)).await?;
    }
    stand.until_flows(20).await?;
    stand.quiet().await?;
    stand.drain().await?;
    let lease = seconds(stand.setup.lease_us());
    let (mut reclaimed, reach) = reclaims(&stand);
    stand.inflicted(
        "messages taken over",
        reclaimed.len().to_string(),
        "> 0",
        !reclaimed.is_empty(),
    );
    let p99 = quantile(&mut reclaimed, 0.99).unwrap_or(f64::INFINITY);
    let target = lease + 1.2 + 1.0;
    stand.speed(
        "taken over after a kill, p99",
        format!("{p99:.1} s"),
        format!("<= lease + look + 1 s = {target:.1} s"),
        p99 <= target,
    );
    stand.expect(
        "what had ended and is repeated had ended before the kill by at most",
        format!("{reach:.1} s"),
        "<= 2.5 s",
        reach <= 2.5,
    );
    stand.finish().await
}

/// Of messages that a killed process had: how long after the kill each began again, and how long before it the
/// oldest of those that had ended had done so.
fn reclaims(stand: &Stand) -> (Vec<f64>, f64) {
    let mut kills: HashMap<u32, u64> = HashMap::new();
    // By group and offset: the process that had it last, and when it was done.
    let mut last: HashMap<(&str, i64), (u32, Option<u64>)> = HashMap::new();
    let (mut reclaimed, mut reach) = (Vec::new(), 0.0_f64);
    let mut lines: Vec<_> = stand.lines.iter().collect();
    lines.sort_by_key(|line| line.at);
    for line in lines {
        match &line.entry {
            Entry::Signal { to, name } if name == "KILL" => _ = kills.insert(*to, line.at),
            Entry::Start { group, offset, .. } => {
                let before = last.insert((group, *offset), (line.pid, None));
                if let Some((pid, ended)) = before
                    && let Some(killed) = kills.get(&pid)
                {
                    match ended {
                        None => reclaimed.push(seconds(line.at - killed)),
                        Some(ended) => reach = reach.max(seconds(killed.saturating_sub(ended))),
                    }
                }
            }
            // What failed is tried again, whoever is killed.
            Entry::End {
                group,
                offset,
                how: How::Failed,
                ..
            } => _ = last.remove(&(group.as_str(), *offset)),
            Entry::End { group, offset, .. } => {
                if let Some(one) = last.get_mut(&(group.as_str(), *offset))
                    && one.0 == line.pid
                {
                    one.1 = Some(line.at);
                }
            }
            _ => {}
        }
    }
    (reclaimed, reach)
}

/// F2.
pub(super) async fn zombie(plan: Plan) -> Result<Outcome> {
    let lease = plan.form(1000, 2000);
    let mut setup = Setup::base().lease(lease);
    // Who has nothing in work when it is stopped has nothing to lose.
    for group in &mut setup.groups {
        group.millis = 60;
    }
    let mut stand = Stand::under_load(&plan, "f2", setup).await?;
    let mut told = 0;
    let times = plan.of(3, 100);
    for _ in 0..times {
        let nth = rand::rng().random_range(0..stand.workers.len());
        let pid = stand.workers[nth].pid;
        stand.signal(pid, "STOP")?;
        tokio::time::sleep(Duration::from_millis(lease * 3)).await;
        let since = mono_us();
        stand.signal(pid, "CONT")?;
        // It is told, by a refused report or when it asks for more time.
        let heard = stand
            .until("the zombie to hear of it", 10, |stand| {
                stand
                    .lines
                    .iter()
                    .rev()
                    .take_while(|line| line.at >= since)
                    .any(|line| {
                        line.pid == pid
                            && matches!(line.entry, Entry::Stale { .. } | Entry::LeaseLost { .. })
                    })
            })
            .await;
        told += u32::from(heard.is_ok());
        stand.run_for(1.0).await?;
    }
    let late = stand.count(0, |entry| matches!(entry, Entry::Stale { .. }));
    stand.expect(
        "zombies told that they lost leases",
        format!("{told} of {times}"),
        "all",
        told == times,
    );
    let begun = begun_late(&stand);
    stand.expect(
        "messages begun by a zombie after it woke, which were another's by then",
        begun.to_string(),
        "0",
        begun == 0,
    );
    // Those that were accepted are anomalies.
    stand.report("late reports refused", late.to_string());
    stand.finish().await
}

/// Messages that a process began after it was woken, and that another had begun while it stood still.
fn begun_late(stand: &Stand) -> usize {
    let mut lines: Vec<_> = stand.lines.iter().collect();
    lines.sort_by_key(|line| line.at);
    let (mut stopped, mut woken) = (HashMap::new(), HashMap::new());
    // By group and offset: when, by whom, and at which attempt it began.
    type Begun = Vec<(u64, u32, u32)>;
    let mut begun: HashMap<(&str, i64), Begun> = HashMap::new();
    let mut late = 0;
    for line in lines {
        match &line.entry {
            Entry::Signal { to, name } if name == "STOP" => _ = stopped.insert(*to, line.at),
            Entry::Signal { to, name } if name == "CONT" => _ = woken.insert(*to, line.at),
            Entry::Start {
                group,
                offset,
                attempt,
                ..
            } => {
                let before = begun.entry((group, *offset)).or_default();
                if let (Some(stop), Some(woke)) = (stopped.get(&line.pid), woken.get(&line.pid)) {
                    let soon = line.at < woke + 500_000;
                    // A retry of what failed elsewhere meanwhile is its own by right.
                    let was_begun = before
                        .iter()
                        .any(|(at, by, of)| at > stop && *by != line.pid && of >= attempt);
                    late += usize::from(soon && was_begun);
                }
                before.push((line.at, line.pid, *attempt));
            }
            _ => {}
        }
    }
    late
}

/// F3.
pub(super) async fn rolling(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base();
    // What fails is tried again, which is no business of a deploy.
    setup
        .groups
        .iter_mut()
        .for_each(|group| group.fails_one_in = 0);
    let mut stand = Stand::under_load(&plan, "f3", setup).await?;
    let (mut clean, mut slowest) = (0, 0.0_f64);
    let times = plan.of(8, 100);
    for nth in 0..times {
        let nth = nth % stand.workers.len();
        let new = stand.new_worker(&[])?;
        let mut old = std::mem::replace(&mut stand.workers[nth], new);
        let begun = mono_us();
        stand.signal(old.pid, "TERM")?;
        clean += usize::from(old.ended().await?.success());
        slowest = slowest.max(seconds(mono_us() - begun));
        stand.run_for(0.3).await?;
    }
    stand.until_flows(20).await?;
    stand.expect(
        "ended with exit code 0",
        format!("{clean} of {times}"),
        "all",
        clean == times,
    );
    stand.speed(
        "slowest to end",
        format!("{slowest:.1} s"),
        "<= its grace of 10 s",
        slowest <= 10.0,
    );
    stand.quiet().await?;
    stand.drain().await?;
    let again: i64 = stand
        .server
        .value("SELECT count(*) FROM vulkan.deliveries WHERE attempts > 1")
        .await?;
    stand.expect(
        "messages whose attempts a deploy used up",
        again.to_string(),
        "0",
        again == 0,
    );
    let held: i64 = stand
        .server
        .value("SELECT count(*) FROM vulkan.deliveries WHERE status = 'processing'")
        .await?;
    stand.expect("left processing", held.to_string(), "0", held == 0);
    second_signal(&mut stand).await?;
    stand.finish().await
}

/// A second signal ends a worker at once, whatever it is at.
async fn second_signal(stand: &mut Stand) -> Result<()> {
    let offset = stand.publish(Deed::Wait(8000), None).await?;
    let is_begun =
        |entry: &Entry| matches!(entry, Entry::Start { offset: of, .. } if *of == offset);
    stand
        .until("the slow message to begin", 30, |stand| {
            stand.count(0, is_begun) > 0
        })
        .await?;
    let by = stand.lines.iter().find(|line| is_begun(&line.entry));
    let by = by.ok_or("nobody began it")?.pid;
    let nth = stand.workers.iter().position(|worker| worker.pid == by);
    let mut last = stand
        .workers
        .remove(nth.ok_or("a worker that is none began it")?);
    stand.signal(by, "TERM")?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let waits = last.has_ended()?.is_none();
    let begun = mono_us();
    if waits {
        stand.signal(by, "TERM")?;
    }
    last.ended().await?;
    let second = seconds(mono_us() - begun);
    stand.inflicted(
        "after the first signal it waits for its message",
        waits.to_string(),
        "true",
        waits,
    );
    stand.speed(
        "after a second signal",
        format!("{second:.1} s"),
        "<= 1 s",
        second <= 1.0,
    );
    Ok(())
}
