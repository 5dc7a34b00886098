//! F14, F16 and F28: many claimers, slow handlers, and a sweep with one bad row.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use sqlx::postgres::PgPoolOptions;
use vulkan::engine::Settlement;
use vulkan::{Client, Message};

use crate::Result;
use crate::child::{Deed, Job};
use crate::clock::mono_us;
use crate::ledger::{Entry, How};
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F14.
pub(super) async fn contention(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base().lease(60_000);
    setup.groups.truncate(1);
    let mut stand = Stand::start(&plan, "f14", setup).await?;
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
    let mut id = 0;
    for _ in 0..many / 1000 {
        let mut batch = Vec::new();
        for _ in 0..1000 {
            id += 1;
            stand.note(Entry::Invoke {
                id,
                key: None,
                dedup: false,
            });
            let pad = String::new();
            batch.push(Message::new(
                "load",
                "plain.made",
                &Job {
                    id,
                    deed: Deed::Work,
                    pad,
                },
            )?);
        }
        let first = id - 999;
        for (nth, offset) in client.publish_many(batch).await?.into_iter().enumerate() {
            stand.note(Entry::Ok {
                id: first + nth as u64,
                offset,
            });
        }
    }
    let began = mono_us();
    let left = Arc::new(AtomicUsize::new(many));
    let claimed =
        join_all((0..claimers).map(|nth| claimer(&stand, &client, group, nth, Arc::clone(&left))))
            .await;
    let errors: Vec<String> = claimed
        .into_iter()
        .filter_map(|one| one.err().map(|e| e.to_string()))
        .collect();
    let rate = many as f64 / crate::clock::seconds(mono_us() - began);
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
    stand.expect(
        "claimed by 64 at once",
        format!("{rate:.0} messages/s"),
        "reported",
        true,
    );
    stand.finish().await
}

async fn claimer(
    stand: &Stand,
    client: &Client,
    group: i32,
    nth: u32,
    left: Arc<AtomicUsize>,
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
            if let Some(hi) = message.claim_hi
                && !settlement.claims.contains(&(hi, message.token))
            {
                settlement.claims.push((hi, message.token));
            }
        }
        client.settle(group, settlement).await?;
        left.fetch_sub(claimed.len(), Ordering::SeqCst);
    }
    Ok(())
}

/// F16.
pub(super) async fn slow_handler(plan: Plan) -> Result<Outcome> {
    const LEASE: u64 = 1500;
    let setup = Setup::base().lease(LEASE);
    let mut stand = Stand::under_load(&plan, "f16", setup).await?;
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
    while stand.server.value::<i64>(&left).await? > 0 {
        stand.run_for(0.2).await?;
    }
    // Every thread of a process is blocked: nothing extends its leases.
    let frozen = stand.publish(Deed::Block(LEASE * 3), None).await?;
    let also = stand.publish(Deed::Block(LEASE * 3), None).await?;
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
        .filter(|((_, offset), _)| [frozen, also].contains(offset))
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
        format!("{most:?}"),
        "<= 2",
        most <= Some(2),
    );
    stand.expect("lost leases told", told.to_string(), "reported", true);
    stand.expect_all_alive()?;
    stand.finish().await
}

/// F28.
pub(super) async fn wedged_sweep(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base();
    setup.groups.truncate(1);
    let mut stand = Stand::start(&plan, "f28", setup).await?;
    let many: i64 = plan.of(2_000, 10_000);
    stand.server.run("SELECT vulkan.create_group('load', 'single', max_attempts => 10, lease => interval '1 s')").await?;
    stand
        .server
        .run(&format!(
            "SELECT vulkan.publish_many('load', array_agg('plain.made'::text), array_agg(jsonb_build_object('other', n))) FROM generate_series(1, {many}) n"
        ))
        .await?;
    let group: i32 = stand
        .server
        .value("SELECT vulkan.group_id('load', 'single')")
        .await?;
    let bad: i64 = stand
        .server
        .value("SELECT max(\"offset\") - 7 FROM vulkan.events")
        .await?;
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
    let took = crate::clock::seconds(mono_us() - begun);
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
    // The last waits a minute and comes back, too; nobody is left to handle them here.
    stand
        .server
        .run("DELETE FROM vulkan.claims; DELETE FROM vulkan.exceptions; DELETE FROM vulkan.groups")
        .await?;
    stand.finish().await
}
