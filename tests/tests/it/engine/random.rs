//! Random histories.

/// Many connections at once, held against the invariants when they rest.
mod concurrent;
/// What is published, and what groups bind of it.
mod event;
/// One history: the steps, and what is compared after each.
mod history;
/// What a group ought to be like.
mod model;
/// Workers: claims held open, settled in part, late, or not at all.
mod worker;

use history::History;
use tokio::task::LocalSet;

const SEEDS: usize = 5;
const STEPS: usize = 100;

/// The seeds of this run: new ones, or the one in `VULKAN_TEST_SEED`.
fn seeds() -> Vec<u64> {
    match std::env::var("VULKAN_TEST_SEED") {
        Ok(seed) => vec![seed.parse().expect("VULKAN_TEST_SEED is a number")],
        Err(_) => (0..SEEDS).map(|_| rand::random()).collect(),
    }
}

#[tokio::test]
async fn every_history_keeps_the_invariants() {
    let local = LocalSet::new();
    let histories: Vec<_> = seeds()
        .into_iter()
        .map(|seed| (seed, local.spawn_local(tell(seed))))
        .collect();
    let failed = local.run_until(async {
        let mut failed = Vec::new();
        for (seed, history) in histories {
            if history.await.is_err() {
                failed.push(seed);
            }
        }
        failed
    });
    let failed = failed.await;
    assert!(
        failed.is_empty(),
        "again with VULKAN_TEST_SEED set to one of {failed:?}"
    );
}

async fn tell(seed: u64) {
    let mut history = History::new(seed).await;
    for _ in 0..STEPS {
        history.step().await;
    }
    history.finish().await;
}
