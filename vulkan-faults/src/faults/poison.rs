//! F27: messages that take their process with them, and what cannot be published at all.

use crate::Result;
use crate::checker::MayDie;
use crate::child::Deed;
use crate::clock::{mono_us, seconds};
use crate::ledger::Entry;
use crate::stand::{Outcome, Plan, Setup, Stand};

const LEASE: u64 = 1500;
const ATTEMPTS: i32 = 3;
/// More than the server and its clients need, less than the machine has.
const MEMORY: u64 = 3 << 30;

/// F27.
pub(super) async fn poisoned(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base().lease(LEASE).retries(2).workers(2);
    setup.memory = Some(MEMORY);
    setup.groups.iter_mut().for_each(|group| {
        group.fails_one_in = 0;
        group.timeout_ms = Some(3000);
    });
    // A little beside them is enough to see that it is left alone.
    let plan = Plan {
        rate: plan.rate / 5.0,
        ..plan
    };
    let mut stand = Stand::under_load(&plan, "f27", setup).await?;
    stand.mortal = true;
    // Its processes come and go, and with them the time to publish to them.
    stand.least_load = None;
    let mut dead = Vec::new();
    let mut deaths = 0;
    let mut deeds = vec![Deed::Abort, Deed::Panic, Deed::Fail];
    if plan.long {
        deeds.extend([Deed::Devour, Deed::Overflow]);
    }
    let begun = mono_us();
    for deed in deeds {
        // Alone, and in the middle of a key.
        for key in [None, Some("poison")] {
            let offset = stand.publish(deed, key).await?;
            dead.push(offset);
            stand.publish(Deed::Work, key).await?;
        }
        deaths += restart_until_dead(&mut stand, &dead).await?;
    }
    let took = seconds(mono_us() - begun);
    stand.quiet().await?;
    while !stand
        .server
        .value::<bool>(include_str!("../sql/drained.sql"))
        .await?
    {
        deaths += restart(&mut stand)?;
        stand.run_for(0.1).await?;
    }
    stand.may_die = MayDie::Only(dead.iter().copied().collect());
    let list = dead
        .iter()
        .map(i64::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let alone: i64 = stand
        .server
        .value(&format!(
            "SELECT count(*) FROM vulkan.deliveries WHERE event_offset = ANY ('{{{list}}}') AND (status <> 'dead' OR attempts <> {ATTEMPTS})"
        ))
        .await?;
    let others: i64 = stand
        .server
        .value(&format!(
            "SELECT count(*) FROM vulkan.deliveries WHERE event_offset <> ALL ('{{{list}}}') AND status <> 'done'"
        ))
        .await?;
    stand.inflicted(
        "processes that messages ended",
        deaths.to_string(),
        "> 0",
        deaths > 0,
    );
    stand.expect(
        "poisonous messages not dead at their third attempt",
        alone.to_string(),
        "0",
        alone == 0,
    );
    stand.expect(
        "other messages that did not end done",
        others.to_string(),
        "0",
        others == 0,
    );
    stand.report("took", format!("{took:.0} s"));
    let refused = refusals(&stand).await?;
    stand.expect(
        "what no database can hold refused by name",
        refused.clone(),
        "all",
        !refused.contains("taken"),
    );
    stand.finish().await
}

async fn restart_until_dead(stand: &mut Stand, offsets: &[i64]) -> Result<usize> {
    let list = offsets
        .iter()
        .map(i64::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let left = format!(
        "SELECT count(*) FROM vulkan.deliveries WHERE event_offset = ANY ('{{{list}}}') AND status <> 'dead'"
    );
    let (begun, mut deaths) = (mono_us(), 0);
    while stand.server.value::<i64>(&left).await? > 0 {
        deaths += restart(stand)?;
        stand.run_for(0.1).await?;
        if mono_us() - begun > 240_000_000 {
            return Err("poisonous messages are not dead after 240 s".into());
        }
    }
    Ok(deaths)
}

/// Starts workers anew that have ended, as whoever runs them does.
fn restart(stand: &mut Stand) -> Result<usize> {
    let mut deaths = 0;
    for nth in 0..stand.workers.len() {
        if stand.workers[nth].has_ended()?.is_some() {
            let to = stand.workers[nth].pid;
            // Its end is as good as a kill.
            let name = "KILL".to_owned();
            stand.note(Entry::Signal { to, name });
            stand.workers[nth] = stand.new_worker(&[])?;
            deaths += 1;
        }
    }
    Ok(deaths)
}

/// What becomes of payloads that cannot be stored.
async fn refusals(stand: &Stand) -> Result<String> {
    let client = vulkan::Client::new(stand.pool().clone());
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let deep = serde_json::value::RawValue::from_string(deep)?;
    let mut told = Vec::new();
    let cases = [
        ("20,000 deep", vulkan::Message::new("load", "a", &deep)?),
        ("NUL", vulkan::Message::new("load", "a", "\0")?),
        (
            "a kind that is none",
            vulkan::Message::new("load", "\u{202e}", &1)?,
        ),
    ];
    for (name, message) in cases {
        told.push(match client.publish(message).await {
            Ok(_) => format!("{name}: taken"),
            Err(vulkan::Error::Invalid(_) | vulkan::Error::Name(_)) => format!("{name}: refused"),
            Err(error) => format!("{name}: taken amiss, {error}"),
        });
    }
    Ok(told.join("; "))
}
