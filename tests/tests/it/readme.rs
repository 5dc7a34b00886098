//! The README, kept true: its Rust stands in files that compile and run, its SQL runs as it stands.

mod snippets;
mod sql;

const README: &str = include_str!("../../../README.md");
const QUICKSTART: &str = include_str!("../../../examples/orders.rs");
const SNIPPETS: &str = include_str!("readme/snippets.rs");

/// The code blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let fence = format!("\n```{language}\n");
    let mut rest = text;
    std::iter::from_fn(move || {
        let (block, after) = rest.split_once(&fence)?.1.split_once("\n```")?;
        rest = after;
        Some(block)
    })
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
