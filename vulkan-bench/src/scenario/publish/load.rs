//! A million events in one transaction, by COPY.

use super::with_raw_table;
use crate::Result;
use crate::bench::Bench;
use crate::clock::{now_us, seconds};
use crate::meter::Meter;
use crate::order::{KIND, Order, STREAM};
use crate::outcome::{Outcome, Target};
use crate::server::Database;

/// The parts that a COPY is sent in, in bytes.
const PART: usize = 64 * 1024;

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let messages = bench.size(1_000_000, 50_000);
    for _ in bench.turns() {
        let database = with_raw_table(bench).await?;
        database.settle().await?;
        let meter = Meter::begin(&bench.server, &database.pool).await?;
        let begun = now_us();
        copy(&database, messages).await?;
        let took = seconds(begun, now_us());
        let raw = outcome.add_rate("COPY into a like table", messages, took, meter.end().await?);

        let meter = Meter::begin(&bench.server, &database.pool).await?;
        let begun = now_us();
        let mut loader = database.client.loader(STREAM).await?;
        for id in 0..messages {
            loader.push(Order::new(id).message()?).await?;
        }
        loader.finish().await?;
        let took = seconds(begun, now_us());
        let ours = outcome.add_rate("load", messages, took, meter.end().await?);
        outcome.goal("load / COPY", ours / raw, Target::AtLeast(0.9));
    }
    Ok(outcome)
}

/// The same rows, encoded here as well: COPY's binary format has a header, then for each row the number of its fields,
/// each with its length before it, and -1 at the end (<https://www.postgresql.org/docs/current/sql-copy.html>).
async fn copy(database: &Database, messages: u64) -> Result<()> {
    let mut connection = database.pool.acquire().await?;
    let mut copying = connection
        .copy_in_raw(include_str!("../../sql/raw_copy.sql"))
        .await?;
    let mut part = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    let field = |part: &mut Vec<u8>, field: &[&[u8]]| {
        let length: usize = field.iter().map(|some| some.len()).sum();
        part.extend(i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
        field.iter().for_each(|some| part.extend(*some));
    };
    for id in 0..messages {
        part.extend(3_i16.to_be_bytes());
        field(&mut part, &[&1_i32.to_be_bytes()]);
        field(&mut part, &[KIND.as_bytes()]);
        // 1 is the version of jsonb on the wire.
        field(&mut part, &[&[1], &serde_json::to_vec(&Order::new(id))?]);
        if part.len() >= PART {
            copying.send(part.as_slice()).await?;
            part.clear();
        }
    }
    part.extend((-1_i16).to_be_bytes());
    copying.send(part).await?;
    copying.finish().await?;
    Ok(())
}
