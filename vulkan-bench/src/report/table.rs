//! Tables for a terminal.

use comfy_table::{CellAlignment, Table, presets};

use crate::meter::Cost;
use crate::outcome::{Goal, Outcome, Side, Target, median, spread};

pub(super) const SIDE: [&str; 9] = [
    "",
    "unit",
    "median",
    "spread",
    "WAL B/msg",
    "dead tuples",
    "server µs/msg",
    "client µs/msg",
    "worker peak",
];
pub(super) const GOAL: [&str; 5] = ["goal", "median", "spread", "target", "met"];

pub(super) fn of(outcome: &Outcome) -> String {
    let sides = table(&SIDE, outcome.sides.iter().map(side));
    let goals = table(&GOAL, outcome.goals.iter().map(goal));
    let notes: String = outcome
        .notes
        .iter()
        .map(|note| format!("{note}\n"))
        .collect();
    format!("{sides}\n{goals}\n{notes}")
}

fn table<const N: usize>(header: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_header(header.to_vec());
    rows.for_each(|row| _ = table.add_row(row));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub(super) fn side(side: &Side) -> [String; 9] {
    let cost = side
        .cost
        .map(|(messages, cost)| per_message(messages, &cost));
    let [wal, dead, server, client, peak] = cost.unwrap_or_default();
    [
        side.name.clone(),
        side.unit.to_owned(),
        figure(median(&side.values)),
        spread_of(&side.values),
        wal,
        dead,
        server,
        client,
        peak,
    ]
}

fn per_message(messages: u64, cost: &Cost) -> [String; 5] {
    let each = |seconds: Option<f64>| match seconds {
        Some(seconds) => format!("{:.2}", seconds * 1e6 / messages as f64),
        None => "unknown".to_owned(),
    };
    [
        format!("{:.1}", cost.wal_bytes / messages as f64),
        figure(cost.dead_tuples),
        each(cost.server_cpu_seconds),
        each(cost.client_cpu_seconds),
        cost.peak_bytes.map_or_else(String::new, |bytes| {
            format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
        }),
    ]
}

pub(super) fn goal(goal: &Goal) -> [String; 5] {
    let target = match goal.target {
        Target::AtLeast(least) => format!("≥ {}", figure(least)),
        Target::AtMost(most) => format!("≤ {}", figure(most)),
    };
    [
        goal.name.clone(),
        figure(median(&goal.values)),
        spread_of(&goal.values),
        target,
        if goal.is_met() { "yes" } else { "NO" }.to_owned(),
    ]
}

fn spread_of(values: &[f64]) -> String {
    let (low, high) = spread(values);
    if values.len() < 2 {
        String::new()
    } else {
        format!("{} – {}", figure(low), figure(high))
    }
}

/// With as many digits as mean something.
fn figure(value: f64) -> String {
    match value.abs() {
        whole if whole >= 1000.0 => thousands(value),
        whole if whole >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        some if some >= 10.0 => format!("{value:.1}"),
        some if some >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_have_as_many_digits_as_mean_something() {
        let values = [
            1_234_567.8,
            1000.0,
            999.4,
            12.34,
            0.4567,
            0.001_23,
            0.0,
            -1234.0,
        ];
        let texts = values.map(figure);
        assert_eq!(
            texts,
            [
                "1,234,568",
                "1,000",
                "999",
                "12.3",
                "0.46",
                "0.0012",
                "0",
                "-1,234"
            ]
        );
    }
}
