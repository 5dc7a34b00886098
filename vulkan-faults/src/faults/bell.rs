//! F32: what ringing for those who sleep costs at commit, and a notification queue that is full.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::Result;
use crate::clock::{mono_us, seconds};
use crate::ledger::Entry;
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F32.
pub(super) async fn notifications(plan: Plan) -> Result<Outcome> {
    // As much as 16 lanes can.
    let usual = plan.rate;
    let plan = Plan { rate: 1e6, ..plan };
    let setup = Setup {
        lanes: 16,
        ..Setup::base().workers(2)
    };
    let mut stand = Stand::start(&plan, "f32", setup).await?;
    stand.calm = true;
    stand.least_load = None;
    let long = plan.of(2.0, 30.0);
    let (mut with, mut without) = (0, 0);
    // In turns, so that whatever else the machine does falls on both.
    for round in 0..4 {
        stand.setup.listen = round % 2 == 0;
        for _ in 0..stand.setup.workers {
            stand.add_worker()?;
        }
        stand
            .until("the workers to be ready", 60, |stand| stand.all_ready(true))
            .await?;
        let since = mono_us();
        stand.add_publisher()?;
        stand.run_for(long).await?;
        let published = stand.count(since, |entry| matches!(entry, Entry::Ok { .. }));
        stand.quiet().await?;
        stand.drain().await?;
        for worker in std::mem::take(&mut stand.workers) {
            stand.end_worker(worker).await?;
        }
        *(if stand.setup.listen {
            &mut with
        } else {
            &mut without
        }) += published;
    }
    let loss = 100.0 - with as f64 / without as f64 * 100.0;
    let rate = without as f64 / long / 2.0;
    stand.speed(
        "publishes lost to workers that are rung for",
        format!("{loss:.0} % of {rate:.0}/s"),
        "<= 5 %",
        loss <= 5.0,
    );
    if plan.long {
        stand.plan.rate = usual;
        full(&mut stand).await?;
    }
    stand.finish().await
}

/// The queue's 8 GB are full, since somebody listens and never comes to read: who notified would be refused at commit.
async fn full(stand: &mut Stand) -> Result<()> {
    stand.setup.listen = true;
    for _ in 0..stand.setup.workers {
        stand.add_worker()?;
    }
    let ready = |stand: &Stand| stand.all_ready(true);
    stand.until("the workers to be ready", 60, ready).await?;
    let mut deaf = PgConnection::connect(&stand.server.maintenance_url()).await?;
    sqlx::raw_sql("LISTEN filled").execute(&mut deaf).await?;
    sqlx::raw_sql("BEGIN; SELECT 1").execute(&mut deaf).await?;
    let begun = mono_us();
    let refusal = fill(stand).await?;
    let took = seconds(mono_us() - begun);
    stand.gone("room in the notification queue");
    let since = mono_us();
    stand.add_publisher()?;
    stand.until_flows(60).await?;
    stand.run_for(10.0).await?;
    let usage: f64 = stand
        .server
        .value("SELECT pg_notification_queue_usage()")
        .await?;
    let taken = stand.count(since, |entry| matches!(entry, Entry::Ok { .. }));
    let refused = stand.count(since, |entry| matches!(entry, Entry::Info { .. }));
    stand.expect(
        "publishes with a full notification queue",
        format!("{taken} taken, {refused} refused, {:.0} % full after {took:.0} s, where a notification gets {refusal}", usage * 100.0),
        "none refused, full, 54000",
        taken > 0 && refused == 0 && usage > 0.99 && refusal == "54000",
    );
    let flows = stand.until_flows(60).await?;
    stand.expect_flow("meanwhile, by polling", flows, 5.0);
    deaf.close().await?;
    stand.back("room in the notification queue");
    Ok(())
}

/// Notifies until even the smallest notification is refused; returns the SQLSTATE of that.
async fn fill(stand: &Stand) -> Result<String> {
    let mut connection = PgConnection::connect(&stand.server.maintenance_url()).await?;
    let mut many = 20_000;
    loop {
        let notify = format!(
            "SELECT count(pg_notify('filled', n || repeat('x', 7900))) FROM generate_series(1, {many}) n"
        );
        match sqlx::raw_sql(AssertSqlSafe(notify))
            .execute(&mut connection)
            .await
        {
            Ok(_) => {}
            Err(_) if many > 1 => many /= 10,
            Err(error) => {
                let code = error.as_database_error().and_then(|error| error.code());
                return Ok(code.map_or_else(|| error.to_string(), Into::into));
            }
        }
    }
}
