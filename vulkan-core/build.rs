//! A new migration is a reason to build the migrator again.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
