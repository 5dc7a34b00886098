//! Histories as files: one step a line. Those that have failed once stay.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::step::Step;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/engine/random/stories")
}

/// The history of a seed.
pub(super) fn random(seed: u64, steps: usize) -> Vec<Step> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let history = proptest::collection::vec(Step::any(), steps);
    history.new_tree(&mut runner).unwrap().current()
}

/// The stories that are kept, by name.
pub(super) fn kept() -> Vec<(String, Vec<Step>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "story"))
        .collect();
    files.sort_unstable();
    files
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let steps = parse(&fs::read_to_string(path).unwrap());
            (name, steps)
        })
        .collect()
}

fn parse(text: &str) -> Vec<Step> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// Writes a story beside the others, to be kept under a name that says what went wrong.
pub(super) fn keep(seed: u64, steps: &[Step], failure: &str) -> String {
    let mut text = String::new();
    for line in failure.lines().take(12) {
        text.push_str(&format!("# {line}\n"));
    }
    for step in steps {
        text.push_str(&serde_json::to_string(step).unwrap());
        text.push('\n');
    }
    let path = folder().join(format!("seed-{seed}.story"));
    // A checkout may be read-only; the text is printed anyway.
    if fs::write(&path, &text).is_ok() {
        return format!("{}:\n{text}", path.display());
    }
    text
}
