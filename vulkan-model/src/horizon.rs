//! The last stable offset: publishers that announce a floor before they draw an offset, and a reader that stops below all floors.
//!
//! A step is what happens at once in Postgres: the sequence is read, a lock is taken, an offset is drawn, a transaction becomes visible, its locks
//! are released, a snapshot is read. The SQL is `vulkan.announce()` and `vulkan.horizon()`.

use stateright::{Model, Property};

/// How many publishers there are, and how many transactions each has.
const PUBLISHERS: usize = 2;
const TRANSACTIONS: u8 = 2;

/// What can be wrong with the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
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
}

/// The protocol, or one that is almost it.
#[derive(Debug, Clone)]
pub struct Horizon {
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// Where a publisher's transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Publisher {
    /// It has not begun.
    Idle,
    /// It has read the sequence.
    Read(u8),
    /// It holds its floor.
    Announced(u8),
    /// It has an offset, and a floor, if it has announced one.
    Drawn {
        /// Its floor.
        floor: Option<u8>,
        /// Its offset.
        offset: u8,
    },
    /// It has released its floor, and is not visible yet: never, as Postgres is.
    Released(u8),
    /// It is visible, and holds its floor still.
    Visible(u8),
}

/// Where the reader is on its way to the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reader {
    /// At the beginning.
    Idle,
    /// It has read the sequence.
    Newest(u8),
    /// It has read the floors alone.
    Floors(Option<u8>),
    /// It knows up to where to read.
    Bound(u8),
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    newest: u8,
    publishers: [(Publisher, u8); PUBLISHERS],
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
pub enum Action {
    /// A publisher's next step.
    Publisher(usize),
    /// A publisher gives up what it has begun.
    RollBack(usize),
    /// The reader's next step.
    Reader,
}

impl State {
    fn floors(&self) -> Option<u8> {
        let floors = self.publishers.iter().filter_map(|(at, _)| match at {
            Publisher::Announced(floor) | Publisher::Visible(floor) => Some(*floor),
            Publisher::Drawn { floor, .. } => *floor,
            _ => None,
        });
        floors.min()
    }

    fn up_to(offset: u8) -> u32 {
        (1 << (offset + 1)) - 1
    }

    fn publish(&mut self, nth: usize, flaw: Flaw) {
        let (at, left) = self.publishers[nth];
        let mut draw = |floor| {
            self.newest += 1;
            Publisher::Drawn {
                floor,
                offset: self.newest,
            }
        };
        let next = match at {
            Publisher::Idle if flaw == Flaw::FloorAfterDraw => draw(None),
            Publisher::Idle => Publisher::Read(self.newest),
            Publisher::Read(floor) => Publisher::Announced(floor),
            Publisher::Announced(floor) => draw(Some(floor)),
            Publisher::Drawn {
                floor: None,
                offset,
            } => Publisher::Drawn {
                floor: Some(self.newest),
                offset,
            },
            Publisher::Drawn { offset, .. } if flaw == Flaw::ReleasedBeforeVisible => {
                Publisher::Released(offset)
            }
            Publisher::Drawn {
                floor: Some(floor),
                offset,
            } => {
                self.visible |= 1 << offset;
                Publisher::Visible(floor)
            }
            Publisher::Released(offset) => {
                self.visible |= 1 << offset;
                Publisher::Idle
            }
            Publisher::Visible(_) => Publisher::Idle,
        };
        let over = next == Publisher::Idle;
        self.publishers[nth] = (next, left - u8::from(over));
    }

    fn read(&mut self, flaw: Flaw) {
        self.reader = match self.reader {
            Reader::Idle => {
                self.snapshot = self.visible;
                match flaw {
                    Flaw::PlainCursor => {
                        Reader::Bound(31 - (self.visible | 1).leading_zeros() as u8)
                    }
                    Flaw::NoFloor => Reader::Bound(self.newest),
                    Flaw::FloorsBeforeSequence => Reader::Floors(self.floors()),
                    _ => Reader::Newest(self.newest),
                }
            }
            Reader::Newest(newest) => {
                Reader::Bound(self.floors().map_or(newest, |floor| floor.min(newest)))
            }
            Reader::Floors(floor) => {
                Reader::Bound(floor.map_or(self.newest, |floor| floor.min(self.newest)))
            }
            Reader::Bound(bound) => {
                let seen = if flaw == Flaw::OldSnapshot {
                    self.snapshot
                } else {
                    self.visible
                };
                if bound > self.cursor {
                    self.read |= seen & Self::up_to(bound) & !Self::up_to(self.cursor);
                    self.cursor = bound;
                }
                self.snapshot = 0;
                Reader::Idle
            }
        };
    }
}

impl Model for Horizon {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            newest: 0,
            publishers: [(Publisher::Idle, TRANSACTIONS); PUBLISHERS],
            visible: 0,
            reader: Reader::Idle,
            snapshot: 0,
            cursor: 0,
            read: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (nth, (at, left)) in state.publishers.iter().enumerate() {
            if *left > 0 {
                actions.push(Action::Publisher(nth));
            }
            if matches!(at, Publisher::Announced(_) | Publisher::Drawn { .. }) {
                actions.push(Action::RollBack(nth));
            }
        }
        actions.push(Action::Reader);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Publisher(nth) => state.publish(nth, self.flaw),
            Action::RollBack(nth) => {
                let left = state.publishers[nth].1;
                state.publishers[nth] = (Publisher::Idle, left - 1);
            }
            Action::Reader => state.read(self.flaw),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is skipped", |_: &Self, state: &State| {
                let passed = state.visible & State::up_to(state.cursor);
                passed & !state.read == 0
            }),
            Property::sometimes("everything is read", |_, state: &State| {
                state.newest == PUBLISHERS as u8 * TRANSACTIONS
                    && state.read.count_ones() == u32::from(state.newest)
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::broken;

    #[test]
    fn no_reader_skips_a_late_commit() {
        let found = broken(Horizon { flaw: Flaw::None });
        // Discovered: that all of it can be read.
        assert_eq!(found, ["everything is read"]);
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
        ] {
            let found = broken(Horizon { flaw });
            assert!(found.contains(&"nothing is skipped"), "{flaw:?}: {found:?}");
        }
    }
}
