//! F14, F16 and F28: many claimers, slow handlers, and a sweep with one bad row.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use sqlx::postgres::PgPoolOptions;
use vulkan::Client;
use vulkan::engine::{Item, Outcome as Settled, Settlement};

use crate::Result;
use crate::child::{Deed, Job};
use crate::clock::{mono_us, seconds};
use crate::ledger::{Entry, How};
use crate::stand::{Event, Outcome, Plan, Setup, Stand};

/// F14.
pub(super) async fn contention(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base().lease(60_000);
    setup.groups.truncate(1);
    let mut stand = Stand::start(&plan, "f14", setup).await?;
    stand.calm = true;
    let many: usize = plan.of(20_000, 1_000_000);
    let claimers = 64;
    let pool = PgPoolOptions::new()
        .max_connections(claimers)
        .connect(&stand.url)
        .await?;
    let client = Client::new(pool.clone());
    stand.server.run("SELECT vulkan.create_group('load', 'single', max_attempts => 10, lease => interval '60 s')").await?;
    let group: i32 = stand
        .server
        .value("SELECT vulkan.group_id('load', 'single')")
        .await?;
    stand
        .publish_all((0..many).map(|_| Event::default()))
        .await?;
    let began = mono_us();
    let errors = claim_all(&stand, &client, group, claimers, many).await;
    let rate = many as f64 / seconds(mono_us() - began);
    pool.close().await;
    stand.expect(
        "errors that claimers saw",
        errors.first().cloned().unwrap_or_else(|| "none".into()),
        "none",
        errors.is_empty(),
    );
    let deadlocks: i64 = stand
        .server
        .value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        .await?;
    stand.expect("deadlocks", deadlocks.to_string(), "0", deadlocks == 0);
    stand.report("claimed by 64 at once", format!("{rate:.0} messages/s"));
    stand.finish().await
}

/// Claims and settles so many messages with so many claimers; returns the errors that they saw.
async fn claim_all(
    stand: &Stand,
    client: &Client,
    group: i32,
    claimers: u32,
    many: usize,
) -> Vec<String> {
    // Below nought where one was handed out twice, which the ledger tells.
    let left = AtomicI64::new(i64::try_from(many).unwrap_or(i64::MAX));
    let claimed = (0..claimers).map(|nth| claimer(stand, client, group, nth, &left));
    let limit = Duration::from_secs(60 + many as u64 / 200);
    match tokio::time::timeout(limit, join_all(claimed)).await {
        Ok(claimed) => claimed
            .into_iter()
            .filter_map(|one| one.err().map(|error| error.to_string()))
            .collect(),
        Err(_) => {
            let left = left.into_inner();
            vec![format!(
                "{left} messages were claimed by nobody within {limit:?}"
            )]
        }
    }
}

async fn claimer(
    stand: &Stand,
    client: &Client,
    group: i32,
    nth: u32,
    left: &AtomicI64,
) -> Result<()> {
    let group_name = || "single".to_owned();
    while left.load(Ordering::SeqCst) > 0 {
        let claimed = client
            .claim(group, &format!("claimer-{nth}"), 20, 4, true)
            .await?;
        if claimed.is_empty() {
            tokio::task::yield_now().await;
            continue;
        }
        let mut settlement = Settlement::default();
        for message in &claimed {
            let (offset, attempt) = (message.offset, u32::try_from(message.attempt)?);
            let job: Job = serde_json::from_str(message.payload.get())?;
            let (group, key) = (group_name(), None);
            stand.note(Entry::Start {
                group,
                offset,
                id: job.id,
                attempt,
                key,
            });
            let (group, how) = (group_name(), How::Done);
            stand.note(Entry::End {
                group,
                offset,
                attempt,
                how,
            });
            match message.claim_hi {
                // A story of its own, as what came back from a lost lease has.
                None => settlement.items.push(Item {
                    offset,
                    token: message.token,
                    lane: message.lane,
                    outcome: Settled::Done,
                }),
                Some(hi) if !settlement.claims.contains(&(hi, message.token)) => {
                    settlement.claims.push((hi, message.token));
                }
                Some(_) => {}
            }
        }
        client.settle(group, settlement).await?;
        left.fetch_sub(i64::try_from(claimed.len())?, Ordering::SeqCst);
    }
    Ok(())
}

/// F16.
pub(super) async fn slow_handler(plan: Plan) -> Result<Outcome> {
    const LEASE: u64 = 1500;
    let setup = Setup::base().lease(LEASE);
    // Of one thread each, so that a handler that blocks it blocks the whole process.
    let mut stand = Stand::start(&plan, "f16", setup).await?;
    for _ in 0..stand.setup.workers {
        let worker = stand.new_worker(&["env", "TOKIO_WORKER_THREADS=1"])?;
        stand.workers.push(worker);
    }
    stand.add_publisher()?;
    stand.until_flows(60).await?;
    let mut slow = Vec::new();
    for _ in 0..plan.of(6, 100) {
        for key in [None, Some("slow")] {
            slow.push(stand.publish(Deed::Wait(LEASE * 10), key).await?);
            if key.is_some() && slow.len() > 2 {
                // One after the other: some are enough.
                slow.pop();
            }
        }
    }
    // They are done before anything else is asked of their processes.
    let list = slow
        .iter()
        .map(i64::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let left = format!(
        "SELECT count(*) FROM vulkan.deliveries WHERE event_offset = ANY ('{{{list}}}') AND status <> 'done'"
    );
    let limit = mono_us() + plan.of(180, 1800) * 1_000_000;
    while stand.server.value::<i64>(&left).await? > 0 {
        if mono_us() > limit {
            return Err("slow messages are not done in time".into());
        }
        stand.run_for(0.2).await?;
    }
    // The only thread of a process is blocked: nothing extends its leases. Two groups take it; so two of the four
    // processes are left to find out.
    let frozen = stand.publish(Deed::Block(LEASE * 3), None).await?;
    let begun = mono_us();
    stand.run_for(LEASE as f64 * 4.0 / 1000.0).await?;
    stand.quiet().await?;
    stand.drain().await?;
    stand.refresh()?;
    let mut starts: HashMap<(String, i64), u32> = HashMap::new();
    for line in &stand.lines {
        if let Entry::Start { group, offset, .. } = &line.entry {
            *starts.entry((group.clone(), *offset)).or_default() += 1;
        }
    }
    let again = starts
        .iter()
        .filter(|((_, offset), many)| slow.contains(offset) && **many > 1)
        .count();
    let most = starts
        .iter()
        .filter(|((_, offset), _)| *offset == frozen)
        .map(|(_, many)| *many)
        .max();
    let told = stand.count(begun, |entry| {
        matches!(entry, Entry::LeaseLost { .. } | Entry::Stale { .. })
    });
    stand.expect(
        "slow messages handled twice",
        again.to_string(),
        "0",
        again == 0,
    );
    stand.expect(
        "times that a message was begun whose process was frozen",
        most.unwrap_or_default().to_string(),
        "2: exactly one takes it over",
        most == Some(2),
    );
    stand.inflicted("lost leases told", told.to_string(), "> 0", told > 0);
    stand.finish().await
}

/// F28.
pub(super) async fn wedged_sweep(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base();
    setup.groups.truncate(1);
    let mut stand = Stand::start(&plan, "f28", setup).await?;
    let many: i64 = plan.of(2_000, 10_000);
    stand.server.run("SELECT vulkan.create_group('load', 'single', max_attempts => 10, lease => interval '1 s')").await?;
    let events = (0..many).map(|_| Event::default());
    let offsets = stand.publish_all(events).await?;
    let group: i32 = stand
        .server
        .value("SELECT vulkan.group_id('load', 'single')")
        .await?;
    let bad = offsets[offsets.len() - 8];
    let mut claimed = 0_i64;
    while claimed < many {
        claimed += stand
            .server
            .value::<i64>(&format!(
                "SELECT count(*) FROM vulkan.claim({group}, 'gone', 500)"
            ))
            .await?;
    }
    stand
        .server
        .run(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.\"offset\" = {bad} THEN RAISE unique_violation; END IF; RETURN NEW; END $$;
             CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON vulkan.exceptions FOR EACH ROW EXECUTE FUNCTION refuse()"
        ))
        .await?;
    // Their leases run out: this is what is waited for.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let begun = mono_us();
    let rescued = "SELECT count(*) FROM vulkan.deliveries WHERE status = 'ready'";
    let mut sweeps = 0;
    while stand.server.value::<i64>(rescued).await? < many - 1 && sweeps < 200 {
        stand.server.run("SELECT vulkan.reap()").await?;
        sweeps += 1;
    }
    let took = seconds(mono_us() - begun);
    let ready: i64 = stand.server.value(rescued).await?;
    stand.expect(
        "rescued beside one that cannot be",
        format!("{ready} of {many} in {sweeps} sweeps, {took:.1} s"),
        format!("{}", many - 1),
        ready == many - 1,
    );
    stand
        .server
        .run("DROP TRIGGER refuse ON vulkan.exceptions")
        .await?;
    // The last waits a minute, which is made to be over, and comes back, too.
    let later = "UPDATE vulkan.claims SET lease_until = clock_timestamp() - interval '1 s' WHERE settled_at IS NULL";
    stand.server.run(later).await?;
    stand.server.run("SELECT vulkan.reap()").await?;
    let ready: i64 = stand.server.value(rescued).await?;
    stand.expect(
        "rescued after its minute",
        format!("{ready} of {many}"),
        "all",
        ready == many,
    );
    // Each is handled then, alone, as what came back from a lost lease is.
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .connect(&stand.url)
        .await?;
    let client = Client::new(pool.clone());
    let errors = claim_all(&stand, &client, group, 8, offsets.len()).await;
    pool.close().await;
    stand.expect(
        "errors of those who handled them",
        errors.first().cloned().unwrap_or_else(|| "none".into()),
        "none",
        errors.is_empty(),
    );
    stand.finish().await
}
