//! The last stable offset: publishers that announce a floor before they draw an offset, and a reader that stops below all floors.
//!
//! A step is what happens at once in Postgres: the sequence is read, a lock is taken, an offset is drawn, a transaction becomes visible, its locks
//! are released, a snapshot is read. A transaction draws several offsets under one floor; a savepoint that is rolled back takes the floor with it that was
//! announced in it, and the note that there is one. The SQL is `vulkan.announce()` and `vulkan.horizon()`.

mod publisher;
mod reader;

use publisher::{Publisher, Step};
use reader::Reader;
use stateright::{Model, Property};

/// How many publishers there are, how many transactions each has, and how many offsets all of them draw. Only the first takes savepoints.
const PUBLISHERS: usize = 2;
const TRANSACTIONS: [u8; PUBLISHERS] = [1, 2];
const OFFSETS: u8 = 3;

/// What can be wrong with the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// The reader goes on behind the highest offset it sees.
    PlainCursor,
    /// The reader stops at the sequence's value, and asks nobody.
    NoFloor,
    /// A publisher announces its floor after it has drawn its offset, as the sequence stands then.
    FloorAfterDraw,
    /// The reader reads the floors first, and the sequence after.
    FloorsBeforeSequence,
    /// The reader looks at events with a snapshot from before it read the floors.
    OldSnapshot,
    /// Locks are released before the transaction is visible.
    ReleasedBeforeVisible,
    /// The note that a floor was announced outlives the savepoint with which the floor went.
    NoteOutlivesSavepoint,
}

/// The protocol, or one that is almost it.
#[derive(Debug, Clone)]
struct Horizon {
    flaw: Flaw,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    newest: u8,
    publishers: [Publisher; PUBLISHERS],
    /// The offsets that anybody can see, one bit each.
    visible: u32,
    reader: Reader,
    /// What the reader saw when it began.
    snapshot: u32,
    cursor: u8,
    /// What the reader has read.
    read: u32,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    Publisher(usize, Step),
    /// The reader's next step.
    Reader,
}

fn up_to(offset: u8) -> u32 {
    (1 << (offset + 1)) - 1
}

impl Model for Horizon {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            newest: 0,
            publishers: [Publisher::default(); PUBLISHERS],
            visible: 0,
            reader: Reader::Idle,
            snapshot: 0,
            cursor: 0,
            read: 0,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        for nth in 0..PUBLISHERS {
            actions.extend(Step::ALL.map(|step| Action::Publisher(nth, step)));
        }
        actions.push(Action::Reader);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Publisher(nth, step) => state.publish(nth, step, self.flaw)?,
            Action::Reader => state.read(self.flaw),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is skipped", |_: &Self, state: &State| {
                let passed = state.visible & up_to(state.cursor);
                passed & !state.read == 0
            }),
            Property::sometimes("everything is read", |_, state: &State| {
                state.newest == OFFSETS && state.read.count_ones() == u32::from(OFFSETS)
            }),
            Property::sometimes(
                "what a savepoint took away is passed",
                |_, state: &State| {
                    state.cursor == OFFSETS && state.read.count_ones() + 1 == u32::from(OFFSETS)
                },
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{breaks, explored};

    #[test]
    fn no_reader_skips_a_late_commit() {
        // Found: that all of it can be read.
        assert_eq!(
            explored(Horizon { flaw: Flaw::None }),
            ["everything is read", "what a savepoint took away is passed"]
        );
    }

    #[test]
    fn whatever_is_left_out_loses_something() {
        for flaw in [
            Flaw::PlainCursor,
            Flaw::NoFloor,
            Flaw::FloorAfterDraw,
            Flaw::FloorsBeforeSequence,
            Flaw::OldSnapshot,
            Flaw::ReleasedBeforeVisible,
            Flaw::NoteOutlivesSavepoint,
        ] {
            assert!(breaks(Horizon { flaw }, "nothing is skipped"), "{flaw:?}");
        }
    }
}
