//! What runs came to, for people and for programs.

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets};

use crate::faults::FAULTS;
use crate::stand::{Kind, Outcome, Target};

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
        "{} {} {} ({}, {:.0} s): {} events, {} messages, lost {}, repeated {}, dead {}, recovery {}{}",
        match (outcome.is_kept(), outcome.is_met()) {
            (true, true) => "met   ",
            (true, false) => "SLOW  ",
            (false, _) => "MISSED",
        },
        outcome.fault,
        outcome.title,
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
        println!("      {met}{}", in_words(target));
    }
    for (name, many) in &counts.anomalies {
        println!("       ! {name}: {many} (target: 0)");
    }
    for anomaly in &outcome.anomalies {
        println!("         {anomaly}");
    }
}

fn in_words(target: &Target) -> String {
    let Target { what, measured, .. } = target;
    match target.kind {
        Kind::Reported => format!("{what}: {measured}"),
        _ => format!("{what}: {measured} ({})", target.target),
    }
}

fn recovery(outcome: &Outcome) -> String {
    match outcome.counts.recovery {
        Some(seconds) => format!("{seconds:.1} s"),
        None if outcome.counts.unrecovered > 0 => "never".into(),
        None => "–".into(),
    }
}

/// The table of a run, as Markdown.
pub(crate) fn markdown(outcomes: &[(Outcome, &'static str)]) -> String {
    let mut text = String::from(
        "| Fault | Form | Load | Events | Messages | Lost | Repeated | Recovery | Targets | Met |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (outcome, title) in outcomes {
        let counts = &outcome.counts;
        let targets: Vec<String> = (outcome.targets.iter()).map(in_words).collect();
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
            match (outcome.is_kept(), outcome.is_met()) {
                (true, true) => "yes",
                (true, false) => "yes, but not in time",
                (false, _) => "**no**",
            },
        );
    }
    text
}
