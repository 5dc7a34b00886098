//! Seeded bugs, each of which the tests must catch: `cargo run -p vulkan-tests --bin mutants`.
//!
//! Each is one place of the source that is replaced in a copy: a rule left out, a fence dropped. Then the tests run that ought to notice, which
//! have passed without it before, and at least one must fail. Those of the SQL need no compiler: the tests take their migrations from the
//! copy. Those of the worker are compiled together, once, and woken one by one. Arguments pick mutants by a part of their name; without any, all
//! are tried. Exits with 1 if one survives, and with 2 if one cannot be tried: its place is no longer in the source, or the tests fail without it.

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
    let picked: Vec<&'static Mutant> = all
        .filter(|mutant| {
            asked.is_empty() || asked.iter().any(|part| mutant.name.contains(part.as_str()))
        })
        .collect();
    if picked.is_empty() {
        eprintln!("no mutant has such a name");
        return ExitCode::from(2);
    }
    match run(&picked) {
        Ok(Tally { untried: 1.., .. }) => ExitCode::from(2),
        Ok(Tally { survivors: 0, .. }) => ExitCode::SUCCESS,
        Ok(Tally { survivors, .. }) => {
            eprintln!("{survivors} survived: a test is missing for each");
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// How many were not caught.
#[derive(Default)]
struct Tally {
    survivors: usize,
    /// Of these nothing is known.
    untried: usize,
}

/// Tries them all.
fn run(mutants: &[&'static Mutant]) -> Result<Tally, String> {
    // Before anything is compiled: what does not apply any more is found at once.
    for mutant in mutants {
        mutant.check()?;
    }
    let mut trial = Trial::new()?;
    trial.check(mutants)?;
    let mut tally = Tally::default();
    println!("| seeded bug | place | | by | s |\n|---|---|---|---|---|");
    for mutant in mutants {
        let begun = Instant::now();
        let (word, by) = match trial.run(mutant) {
            Ok(Verdict::Caught { by, .. }) => ("caught", by),
            Ok(Verdict::Survived) => {
                tally.survivors += 1;
                ("MISSED", String::new())
            }
            // The others can be tried all the same.
            Err(error) => {
                tally.untried += 1;
                eprintln!("{}: {error}", mutant.name);
                ("NOT TRIED", String::new())
            }
        };
        println!(
            "| {} | {} | {word} | {by} | {} |",
            mutant.name,
            mutant.file,
            begun.elapsed().as_secs()
        );
    }
    let caught = mutants.len() - tally.survivors - tally.untried;
    println!("{caught} of {} caught", mutants.len());
    Ok(tally)
}

/// The end of what a program has said.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
