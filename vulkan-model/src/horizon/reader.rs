//! The reader, page by page.

use super::{Flaw, State, up_to};

/// Where it is on its way to the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reader {
    /// At the beginning.
    Idle,
    /// It has read the sequence.
    Newest(u8),
    /// It has read the floors alone.
    Floors(Option<u8>),
    /// It knows up to where to read.
    Bound(u8),
}

impl State {
    pub(super) fn read(&mut self, flaw: Flaw) {
        self.reader = match self.reader {
            Reader::Idle => {
                self.snapshot = if flaw == Flaw::OldSnapshot {
                    self.visible
                } else {
                    0
                };
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
                    self.read |= seen & up_to(bound) & !up_to(self.cursor);
                    self.cursor = bound;
                }
                self.snapshot = 0;
                Reader::Idle
            }
        };
    }
}
