//! What the compiler prints. Each folder of `tests/ui` is named for the rule it is about.
//!
//! The texts are those of the current stable toolchain, and change with it.
//! `TRYBUILD=overwrite cargo test -p vulkan-macros ui` writes them anew.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*/*.rs");
    cases.compile_fail("tests/ui/fail/*/*.rs");
}
