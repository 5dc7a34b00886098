//! The document of a run.

use std::fmt::Write;

use super::table::{GOAL, SIDE, goal, side};
use super::{Report, Section};

pub(super) fn of(report: &Report) -> String {
    let mut text = format!(
        "Vulkan {}, PostgreSQL {}, {} cores ({}){}{}.\n",
        report.version,
        report.postgres,
        report.machine.cores,
        report.machine.processor,
        report
            .machine
            .memory_bytes
            .map_or_else(String::new, |bytes| format!(
                ", {} GiB of memory",
                bytes >> 30
            )),
        if report.quick {
            "; a quick run, whose figures mean little"
        } else {
            ""
        },
    );
    for section in &report.scenarios {
        let _ = write!(text, "\n## {}\n\n{}.\n\n", section.name, capital(section));
        rows(&mut text, &SIDE, section.outcome.sides.iter().map(side));
        text.push('\n');
        rows(&mut text, &GOAL, section.outcome.goals.iter().map(goal));
        for note in &section.outcome.notes {
            let _ = write!(text, "\n{note}\n");
        }
    }
    text
}

fn capital(section: &Section) -> String {
    let mut letters = section.about.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn rows<const N: usize>(
    text: &mut String,
    header: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    text.push_str(&line(header));
    text.push_str(&line(&["---"; N]));
    for row in rows {
        text.push_str(&line(&row.each_ref().map(String::as_str)));
    }
}
