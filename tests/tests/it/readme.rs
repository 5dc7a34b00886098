//! The README, kept true: its Rust stands in files that compile and run, its SQL runs as it stands.

mod snippets;
mod sql;

use std::collections::BTreeMap;
use std::path::Path;

const README: &str = include_str!("../../../README.md");
const QUICKSTART: &str = include_str!("../../../examples/orders.rs");
const GUIDES: &str = include_str!("../../../docs/guides/README.md");
const GUIDES_THAT_RUN: [&str; 2] = [
    include_str!("../../src/guides.rs"),
    include_str!("../../telemetry/src/lib.rs"),
];
const SNIPPETS: &str = include_str!("readme/snippets.rs");

/// The code blocks of one language.
pub(crate) fn blocks<'a>(text: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let fence = format!("\n```{language}\n");
    let mut rest = text;
    std::iter::from_fn(move || {
        let (block, after) = rest.split_once(&fence)?.1.split_once("\n```")?;
        rest = after;
        Some(block)
    })
}

/// The guides, by their names, without the list of them.
fn guides() -> BTreeMap<String, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides");
    let files = std::fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap());
    files
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read_to_string(file.path()).unwrap())
        })
        .filter(|(name, _)| name != "README.md")
        .collect()
}

/// Where a snippet stands in a file, it may be indented otherwise.
fn flat(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_quickstart_is_the_example() {
    assert!(
        README.contains(&format!("```rust\n{QUICKSTART}```\n")),
        "README.md does not hold examples/orders.rs as it stands"
    );
}

#[test]
fn every_snippet_stands_in_a_file_that_compiles() {
    let compiled = [flat(QUICKSTART), flat(SNIPPETS)];
    for block in blocks(README, "rust") {
        assert!(
            compiled.iter().any(|file| file.contains(&flat(block))),
            "not in tests/it/readme/snippets.rs:\n{block}"
        );
    }
}

#[test]
fn every_guide_is_listed_and_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let guides = guides();
    for guide in guides.keys() {
        assert!(
            GUIDES.contains(&format!("]({guide})")),
            "docs/guides/README.md has no row for {guide}"
        );
        let line = format!("docs/guides/{guide}\"");
        assert!(
            GUIDES_THAT_RUN.iter().any(|file| file.contains(&line)),
            "the examples of {guide} do not run: tests/src/guides.rs has no line for it"
        );
    }
    let texts = guides.values().map(String::as_str);
    for text in texts.chain([README, GUIDES]) {
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split_once(')').unwrap().0;
            let link = link.split('#').next().unwrap_or_default();
            let there =
                link.starts_with("http") || guides.contains_key(link) || root.join(link).exists();
            assert!(there, "{link} leads nowhere");
        }
    }
    for (at, _) in README.match_indices("`docs/") {
        let path = README[at + 1..].split_once('`').unwrap().0;
        assert!(
            root.join(path).exists(),
            "README.md names {path}, which is not there"
        );
    }
}

/// A worker that stops before it runs, or a function that nobody calls, shows that an example compiles, and no more.
#[test]
fn every_handler_in_a_guide_is_called() {
    // How an example calls its handlers, or shows that there is none to call.
    let calls = [
        "stop_when_done(",
        ".drain(",
        "call(",
        "call_batch(",
        "call_with(",
        "Running::start(",
        ".run(shutdown",
        "&delivery).await",
        ".build().unwrap_err()",
    ];
    for (guide, text) in guides() {
        for block in blocks(&text, "rust") {
            // Those of handlers and layers themselves.
            let block = block.replace("fn call(", "").replace("inner.call(", "");
            let shows_a_handler = block.contains("[handler(") || block.contains("Handler<S> for");
            let called = calls.iter().any(|call| block.contains(call))
                && !block.contains("\n# shutdown.stop();");
            assert!(
                called || !shows_a_handler,
                "{guide}: no handler is called by\n{block}"
            );
        }
    }
}
