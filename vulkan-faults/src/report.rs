//! What runs came to, for people and for programs.

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets};

use crate::faults::FAULTS;
use crate::stand::Outcome;

/// Says which faults there are.
pub(crate) fn list() {
    let mut table = table();
    table.set_header(["fault", "what is taken away", "short", "long"]);
    for fault in FAULTS {
        table.add_row([fault.name, fault.title, fault.short, fault.long]);
    }
    println!("{table}");
}

fn table() -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// One outcome, for people.
pub(crate) fn tell(outcome: &Outcome) {
    let counts = &outcome.counts;
    println!(
        "{} {} ({}, {:.0} s): {} events, {} messages, lost {}, repeated {}, dead {}, recovery {}{}",
        if outcome.is_met() { "met   " } else { "MISSED" },
        outcome.fault,
        outcome.form,
        outcome.seconds,
        counts.published,
        counts.messages,
        counts.lost,
        counts.repeated,
        counts.dead,
        recovery(outcome),
        if counts.unknown > 0 {
            format!(", unknown {}", counts.unknown)
        } else {
            String::new()
        },
    );
    for target in &outcome.targets {
        let met = if target.met { "   " } else { " ! " };
        println!(
            "      {met}{}: {} (target: {})",
            target.what, target.measured, target.target
        );
    }
    for (name, many) in &counts.anomalies {
        println!("       ! {name}: {many} (target: 0)");
    }
    for anomaly in &outcome.anomalies {
        println!("         {anomaly}");
    }
}

fn recovery(outcome: &Outcome) -> String {
    (outcome.counts.recovery).map_or_else(|| "–".into(), |seconds| format!("{seconds:.1} s"))
}

/// The table of a run, as Markdown.
pub(crate) fn markdown(outcomes: &[(Outcome, &'static str)]) -> String {
    let mut text = String::from(
        "| Fault | Form | Load | Events | Messages | Lost | Repeated | Recovery | Targets | Met |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (outcome, title) in outcomes {
        let counts = &outcome.counts;
        let targets: Vec<String> = (outcome.targets.iter())
            .map(|target| format!("{}: {} ({})", target.what, target.measured, target.target))
            .collect();
        let _ = writeln!(
            text,
            "| **{}** {} | {}, {:.0} s | {} | {} | {} | {} | {} | {} | {} | {} |",
            outcome.fault,
            title,
            outcome.form,
            outcome.seconds,
            outcome.load,
            counts.published,
            counts.messages,
            counts.lost,
            counts.repeated,
            recovery(outcome),
            targets.join("; ").replace('|', "\\|"),
            if outcome.is_met() { "yes" } else { "**no**" },
        );
    }
    text
}
