//! Seeded bugs, each of which the tests must catch: `cargo run -p vulkan-tests --bin mutants`.
//!
//! Each is one place of the source that is replaced in a copy: a rule left out, a fence dropped. Then the tests run that ought to notice, and
//! at least one must fail. Those of the SQL need no compiler: the tests take their migrations from the copy. Arguments pick
//! mutants by a part of their name; without any, all are tried. Exits with 1 if one survives, and with 2 if one cannot be tried: its
//! place is no longer in the source, or the tests fail without it.

mod apply;
mod build;
mod entry;
mod runtime;
mod sql;
mod trial;

use std::process::ExitCode;
use std::time::Instant;

use entry::Mutant;
use trial::{Trial, Verdict};

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let all = sql::MUTANTS.iter().chain(runtime::MUTANTS);
    let picked: Vec<&Mutant> = all
        .filter(|mutant| {
            asked.is_empty() || asked.iter().any(|part| mutant.name.contains(part.as_str()))
        })
        .collect();
    if picked.is_empty() {
        eprintln!("no mutant has such a name");
        return ExitCode::from(2);
    }
    match run(&picked) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(survivors) => {
            eprintln!("{survivors} survived: a test is missing for each");
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Tries them all. Returns how many survived.
fn run(mutants: &[&Mutant]) -> Result<usize, String> {
    // Before anything is compiled: what does not apply any more is found at once.
    for mutant in mutants {
        mutant.check()?;
    }
    let mut trial = Trial::new()?;
    trial.check(mutants)?;
    let mut survivors = 0;
    println!("| seeded bug | place | | by | s |\n|---|---|---|---|---|");
    for mutant in mutants {
        let begun = Instant::now();
        let verdict = trial.run(mutant)?;
        let (word, by) = match &verdict {
            Verdict::Caught(by) => ("caught", by.as_str()),
            Verdict::Survived => {
                survivors += 1;
                ("MISSED", "")
            }
        };
        println!(
            "| {} | {} | {word} | {by} | {} |",
            mutant.name,
            mutant.file,
            begun.elapsed().as_secs()
        );
    }
    println!("{} of {} caught", mutants.len() - survivors, mutants.len());
    Ok(survivors)
}

/// The end of what a program has said.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
