use std::collections::HashMap;
use std::time::Duration;

use vulkan::Client;

use crate::Error;
use crate::flight::Flight;
use crate::totals;
use crate::tower::Tower;

/// What the group aircraft grants a message before it is dead.
const RETRIES: i64 = 2;

/// What was noted while it ran: times, and counts to be checked against the CSV.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) published: Duration,
    pub(crate) handled: Duration,
    pub(crate) counted: usize,
    pub(crate) dead: i64,
    pub(crate) retries: i64,
    pub(crate) redriven: i64,
}

/// Shows the dead letters by what killed them. Returns how many there are, and how many retries they had.
pub(crate) async fn dead_letters(client: &Client) -> Result<(i64, i64), Error> {
    let letters: Vec<(String, i64, String, i32)> =
        sqlx::query_as(include_str!("sql/dead_letters.sql"))
            .fetch_all(client.pool())
            .await?;
    println!("\nDead letters of group aircraft");
    for (error, many, example, attempts) in &letters {
        println!("  {many:>6} × \"{error}\" after {attempts} attempts, such as {example}");
    }
    let retries = sqlx::query_scalar(include_str!("sql/retries.sql"))
        .fetch_one(client.pool())
        .await?;
    Ok((letters.iter().map(|letter| letter.1).sum(), retries))
}

/// Closes with what came of it. Returns whether it agrees with the CSV.
pub(crate) async fn close(
    client: &Client,
    flights: &[Flight],
    tower: &Tower,
    outcome: &Outcome,
) -> Result<bool, Error> {
    let log = tower.log();
    let handled = Handled::of(flights, &log.handled);
    let statuses: Vec<(String, String, i64, i64)> =
        sqlx::query_as(include_str!("sql/statuses.sql"))
            .fetch_all(client.pool())
            .await?;
    let totals = totals::all(client.pool()).await?;
    let expected = totals::sum(flights);
    let wrong_carriers = expected
        .iter()
        .filter(|(carrier, total)| totals.get(*carrier) != Some(total))
        .count();
    let all = i64::try_from(flights.len())?;
    let unfinished = statuses
        .iter()
        .filter(|(_, status, many, distinct)| status != "done" || *many != all || *distinct != all);
    let unfinished = unfinished.count() + 2 - statuses.len().min(2);
    let cancelled = flights
        .iter()
        .filter(|flight| flight.departure.is_none())
        .count();

    let seconds = outcome.handled.as_secs_f64();
    let messages = 3 * flights.len();
    println!("\nThree groups over {} flights", flights.len());
    line(
        "published",
        &format!(
            "{:>9} in {:.1} s, {:.0} a second",
            flights.len(),
            outcome.published.as_secs_f64(),
            flights.len() as f64 / outcome.published.as_secs_f64()
        ),
    );
    line(
        "messages",
        &format!(
            "{messages:>9} in {seconds:.1} s, {:.0} a second",
            messages as f64 / seconds
        ),
    );
    line("retries", &format!("{:>9}", outcome.retries));
    line(
        "dead",
        &format!(
            "{:>9} (the CSV has {cancelled} cancelled flights)",
            outcome.dead
        ),
    );
    line("redriven", &format!("{:>9}", outcome.redriven));
    line("knock-on delays", &format!("{:>9}", log.knock_on));
    line("counted", &format!("{:>9}", outcome.counted));
    println!("\nAgainst the CSV");
    line(
        "out of order",
        &format!("{:>9}", log.out_of_order + handled.out_of_order),
    );
    line("lost", &format!("{:>9}", handled.lost));
    line("twice", &format!("{:>9}", handled.twice));
    line(
        "carriers",
        &format!(
            "{:>9} of {} agree, to the flight and the minute",
            expected.len() - wrong_carriers,
            expected.len()
        ),
    );
    for (group, status, many, _) in &statuses {
        line(group, &format!("{many:>9} {status}"));
    }
    Ok(log.out_of_order
        + handled.out_of_order
        + handled.lost
        + handled.twice
        + wrong_carriers
        + unfinished
        == 0
        && outcome.counted == flights.len()
        && usize::try_from(outcome.dead)? == cancelled
        && outcome.retries == RETRIES * outcome.dead
        && outcome.redriven == outcome.dead
        && totals == expected)
}

fn line(what: &str, value: &str) {
    println!("  {what:<16}{value}");
}

/// What the keyed handler did, held against the CSV.
#[derive(Debug, Default)]
struct Handled {
    lost: usize,
    twice: usize,
    out_of_order: usize,
}

impl Handled {
    fn of(flights: &[Flight], handled: &HashMap<Option<String>, Vec<u32>>) -> Self {
        let mut times = vec![0_usize; flights.len()];
        for row in handled.values().flatten() {
            times[*row as usize - 1] += 1;
        }
        let flown = |row: &&u32| flights[**row as usize - 1].departure.is_some();
        let out_of_order = handled
            .iter()
            .filter(|(tail, _)| tail.is_some())
            .map(|(_, rows)| {
                // Cancelled flights were redriven at the end; the others stand as they flew.
                let rows: Vec<u32> = rows.iter().filter(flown).copied().collect();
                rows.windows(2).filter(|pair| pair[0] >= pair[1]).count()
            })
            .sum();
        Self {
            lost: times.iter().filter(|times| **times == 0).count(),
            twice: times.iter().filter(|times| **times > 1).count(),
            out_of_order,
        }
    }
}
