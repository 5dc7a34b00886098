//! A failing history made short.

use super::Failure;
use super::step::Step;

/// How many histories are told in search of a shorter one.
const TRIES: usize = 400;

/// The shortest history found that fails, and how it does.
pub(super) async fn shrink(mut steps: Vec<Step>, mut failure: Failure) -> (Vec<Step>, Failure) {
    let mut tries = 0;
    steps.truncate(failure.at + 1);
    // Whole stretches first, then smaller and smaller ones, in the end single steps.
    let mut stretch = steps.len() / 2;
    while stretch > 0 && tries < TRIES {
        let mut removed = false;
        let mut from = steps.len().saturating_sub(stretch);
        loop {
            let mut shorter = steps.clone();
            shorter.drain(from..(from + stretch).min(steps.len()));
            tries += 1;
            if let Err(other) = super::tell(&shorter).await {
                shorter.truncate(other.at + 1);
                steps = shorter;
                failure = other;
                removed = true;
            }
            if from == 0 || tries >= TRIES {
                break;
            }
            from = from
                .saturating_sub(stretch)
                .min(steps.len().saturating_sub(1));
        }
        if !removed || stretch > 1 {
            stretch /= 2;
        }
    }
    for nth in 0..steps.len() {
        for simpler in steps.get(nth).map(Step::simpler).unwrap_or_default() {
            if tries >= TRIES {
                break;
            }
            tries += 1;
            let mut changed = steps.clone();
            changed[nth] = simpler;
            if let Err(other) = super::tell(&changed).await {
                changed.truncate(other.at + 1);
                steps = changed;
                failure = other;
                break;
            }
        }
    }
    (steps, failure)
}
