//! What the tests of all models do.

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Model};

/// Explores every state. Returns the names of the properties that do not hold.
pub(crate) fn broken<M>(model: M) -> Vec<&'static str>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model.checker().spawn_bfs().join();
    let mut found: Vec<&str> = checker.discoveries().into_keys().collect();
    found.sort_unstable();
    println!("{} states; broken: {found:?}", checker.unique_state_count());
    for (name, path) in checker.discoveries() {
        println!("{name}: {path}");
    }
    found
}
