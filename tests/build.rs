//! A new migration is a reason to build the tests again.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
