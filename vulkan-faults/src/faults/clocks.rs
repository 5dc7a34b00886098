//! F17 and F18: clocks that are wrong, of workers and of the database.

use std::collections::BTreeSet;

use crate::Result;
use crate::checker::quantile;
use crate::clock::{mono_us, seconds, wall_us};
use crate::ledger::Entry;
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F17.
pub(super) async fn skewed_workers(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base();
    setup
        .groups
        .iter_mut()
        .for_each(|group| group.fails_one_in = 0);
    let mut stand = Stand::start(&plan, "f17", setup).await?;
    stand.calm = true;
    // By the clock of the database, whichever of the workers fires them: each tick once, and in time.
    stand
        .server
        .run(include_str!("../sql/schedules.sql"))
        .await?;
    for skew in ["+10m", "-10m", "+1h", "-1h"] {
        let worker = stand.new_worker(&["faketime", "-m", "-f", skew]);
        let worker = worker.map_err(|error| {
            format!("faketime cannot be started ({error}): apt-get install faketime")
        })?;
        stand.workers.push(worker);
    }
    stand.add_publisher()?;
    stand.until_flows(60).await?;
    let from = mono_us();
    stand.run_for(plan.of(12.0, 600.0)).await?;
    let to = mono_us();
    stand.run_for(2.0).await?;
    let mut delays = stand.delays(from, to);
    let p99 = quantile(&mut delays, 0.99).unwrap_or(f64::INFINITY);
    let lost = stand.count(0, |entry| {
        matches!(entry, Entry::LeaseLost { .. } | Entry::Stale { .. })
    });
    let skews: BTreeSet<i64> = (stand.lines.iter())
        .filter_map(|line| match &line.entry {
            // To the minute: starting takes its time, too.
            Entry::Up { role, ahead } if role == "worker" => Some((ahead + 30).div_euclid(60)),
            _ => None,
        })
        .collect();
    stand.inflicted(
        "minutes that the workers' clocks are ahead",
        format!("{skews:?}"),
        "-60, -10, 10, 60",
        skews == [-60, -10, 10, 60].into(),
    );
    stand.expect("leases lost", lost.to_string(), "0", lost == 0);
    for (schedule, ticks, twice, missing, early, late) in ticks(&stand).await? {
        stand.expect(
            format!("ticks of {schedule}"),
            format!("{ticks}, {twice} twice, {missing} missing"),
            "each once",
            ticks > 5 && twice + missing == 0,
        );
        stand.speed(
            format!("ticks of {schedule} are late by"),
            format!("{early:.2} s to {late:.2} s"),
            "<= 1 s, none early",
            early >= 0.0 && late <= 1.0,
        );
    }
    stand.speed(
        "from commit to handler, p99",
        format!("{p99:.2} s"),
        "<= 1 s",
        p99 <= 1.0,
    );
    stand.finish().await
}

/// A schedule's ticks: how many, how many of them twice, how many missing, and by how many seconds they came late.
type Ticks = (String, i64, i64, i64, f64, f64);

async fn ticks(stand: &Stand) -> Result<Vec<Ticks>> {
    let ticks = sqlx::query_as(include_str!("../sql/tick_errors.sql"));
    Ok(ticks.fetch_all(stand.pool()).await?)
}

/// F18.
pub(super) async fn database_steps(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::start(&plan, "f18", Setup::base()).await?;
    let library = library().ok_or("libfaketime is not installed: apt-get install faketime")?;
    stand.server.stop(crate::server::Stop::Fast).await?;
    // The server reads its clock's error from a file, anew each time.
    let file = stand.server.directory()?.join("clock");
    std::fs::write(&file, "+0\n")?;
    let mut start = stand.server.command("pg_ctl")?;
    start
        .args(["start", "-s", "-w", "-D"])
        .arg(stand.server.directory()?.join("data"))
        .arg("-l")
        .arg(stand.server.directory()?.join("data").join("faked.log"))
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    crate::server::succeed(start).await?;
    stand.load().await?;
    stand.run_for(3.0).await?;
    let mut newest: i64 = 0;
    let mut backwards = 0;
    let most = i64::try_from(stand.setup.workers * (stand.setup.slots + 40))?;
    let mut reclaimed = 0_usize;
    let (mut moved, mut stepped) = (true, Vec::new());
    for _ in 0..plan.of(1, 20) {
        for (step, due) in [("-5m", -300.0), ("+1h", 3600.0), ("+0", 0.0)] {
            let since = mono_us();
            stand.note(Entry::Step);
            std::fs::write(&file, format!("{step}\n"))?;
            let ahead: f64 = stand
                .server
                .value("SELECT extract(epoch FROM clock_timestamp())::float8")
                .await?;
            let ahead = ahead - seconds(wall_us());
            moved &= (ahead - due).abs() < 5.0;
            stepped.push(format!("{ahead:+.0} s"));
            stand.run_for(plan.of(3.0, 20.0)).await?;
            let last: i64 = stand
                .server
                .value("SELECT last_value FROM vulkan.offset_seq")
                .await?;
            backwards += u32::from(last < newest);
            newest = last;
            stand.until_flows(30).await?;
            if step == "+1h" {
                reclaimed = reclaimed.max(stand.count(since, |entry| {
                    matches!(entry, Entry::Start { attempt: 2.., .. })
                }));
            }
        }
    }
    // What was put off while the clock was ahead is due when the clock gets there, as leases are; and retries have nothing
    // else to go by. So the hour is let pass.
    let waiting: i64 = stand
        .server
        .value("SELECT count(*) FROM vulkan.deliveries WHERE status = 'ready' AND run_at > clock_timestamp() + interval '10 min'")
        .await?;
    stand.report(
        "messages that wait for the clock to be where it was",
        waiting.to_string(),
    );
    stand.note(Entry::Step);
    std::fs::write(&file, "+2h\n")?;
    stand.until_flows(30).await?;
    stepped.truncate(3);
    stand.inflicted(
        "the server's clock is ahead by",
        stepped.join(", then "),
        "-300 s, then +3600 s, then +0 s, each time",
        moved,
    );
    stand.expect(
        "times the offsets went back",
        backwards.to_string(),
        "0",
        backwards == 0,
    );
    stand.expect(
        "messages taken over after a step of an hour",
        reclaimed.to_string(),
        format!("<= what is in flight, {most} at the most"),
        i64::try_from(reclaimed)? <= most,
    );
    stand.finish().await
}

fn library() -> Option<String> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    ];
    places
        .into_iter()
        .find(|place| std::path::Path::new(place).exists())
        .map(str::to_owned)
}
