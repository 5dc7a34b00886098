//! Random histories, told to the database and to a model of it.

/// Time that moves by whole spans.
mod clock;
/// The database held against the model.
mod compare;
/// Many connections at once, held against the invariants when they rest.
mod concurrent;
/// What is published, and what groups bind of it.
mod event;
/// One history: the steps, done to both.
mod history;
/// What a group ought to be like.
mod model;
/// Publishers: transactions that commit in any order, or not.
mod publisher;
/// The reader of a cursor group.
mod reader;
/// A failing history made short.
mod shrink;
/// What can happen.
mod step;
/// Histories as files.
mod story;
/// Workers: claims held open, settled in part, late, or not at all.
mod worker;

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::Instant;

use futures::{FutureExt, StreamExt, stream};

use history::History;
use step::Step;

/// How many histories run, unless `VULKAN_HISTORIES` says otherwise, and how long each is, unless `VULKAN_HISTORY_STEPS` does.
const HISTORIES: usize = 6;
const STEPS: usize = 120;

/// How many are told at the same time.
const AT_ONCE: usize = 4;

/// How a history failed, and at which of its steps; behind the last, when all came to its end.
#[derive(Debug)]
struct Failure {
    at: usize,
    what: String,
}

/// Tells a history to a database of its own, and holds that against the model after every step.
async fn tell(steps: &[Step]) -> Result<(), Failure> {
    let at = Cell::new(0);
    let telling = AssertUnwindSafe(async {
        let mut history = History::new().await;
        for (nth, step) in steps.iter().enumerate() {
            at.set(nth);
            history.step(step).await;
            history.compare().await;
        }
        at.set(steps.len());
        history.finish().await;
    });
    telling.catch_unwind().await.map_err(|panic| Failure {
        at: at.get(),
        what: panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()))
            .unwrap_or_default(),
    })
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Failures of histories are told by who tells the histories: in search of a short one there are very many.
fn hush() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic);
            }
        }));
    });
    QUIET.set(true);
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number")),
    )
}

/// Those that failed once are told first.
#[tokio::test]
async fn every_story_that_was_kept_keeps_the_invariants() {
    hush();
    let told = stream::iter(story::kept())
        .map(|(name, steps)| async move { (name, tell(&steps).await) })
        .buffer_unordered(AT_ONCE);
    let failed: Vec<_> = told
        .filter(|(_, told)| std::future::ready(told.is_err()))
        .collect()
        .await;
    QUIET.set(false);
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn every_history_keeps_the_invariants() {
    hush();
    let steps = number("VULKAN_HISTORY_STEPS").map_or(STEPS, |steps| steps as usize);
    let many = number("VULKAN_HISTORIES").map_or(HISTORIES, |many| many as usize);
    let first = number("VULKAN_TEST_SEED");
    // The seeds that follow the first, so that a run can be told again.
    let seeds = match first {
        Some(seed) => seed..seed + number("VULKAN_HISTORIES").unwrap_or(1),
        None => {
            let seed = u64::from(rand::random::<u32>());
            seed..seed + many as u64
        }
    };
    println!("histories of {steps} steps, with the seeds {seeds:?}");
    let begun = Instant::now();
    let mut told = stream::iter(seeds)
        .map(|seed| async move { (seed, tell(&story::random(seed, steps)).await) })
        .buffer_unordered(AT_ONCE);
    let mut fine = 0;
    while let Some((seed, history)) = told.next().await {
        let Err(failure) = history else {
            fine += 1;
            if fine % 100 == 0 {
                println!("{fine} histories in {:?}", begun.elapsed());
            }
            continue;
        };
        println!(
            "seed {seed} failed at step {}: {}",
            failure.at, failure.what
        );
        let (steps, failure) = shrink::shrink(story::random(seed, steps), failure).await;
        let story = story::keep(seed, &steps, &failure.what);
        QUIET.set(false);
        panic!("seed {seed}: {}\n{story}", failure.what);
    }
    QUIET.set(false);
}
