//! A publisher's transactions.

use super::{Flaw, OFFSETS, State, TRANSACTIONS};

/// A step of a transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// The sequence is read, for a floor.
    Read,
    /// The floor is announced.
    Announce,
    /// An offset is drawn, and its event appended.
    Draw,
    Savepoint,
    RollBackToSavepoint,
    /// The transaction becomes visible.
    Commit,
    /// Its locks are released.
    Release,
    RollBack,
}

impl Step {
    pub(super) const ALL: [Self; 8] = [
        Self::Read,
        Self::Announce,
        Self::Draw,
        Self::Savepoint,
        Self::RollBackToSavepoint,
        Self::Commit,
        Self::Release,
        Self::RollBack,
    ];
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Phase {
    #[default]
    Open,
    Visible,
    /// It has released its floor, and is not visible yet: never, as Postgres is.
    Released,
}

/// What came since the savepoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Savepoint {
    offsets: u32,
    floor: bool,
}

/// Where a publisher is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Publisher {
    phase: Phase,
    read: Option<u8>,
    floor: Option<u8>,
    /// It knows that it has announced a floor.
    noted: bool,
    /// What it has appended, one bit each.
    offsets: u32,
    savepoint: Option<Savepoint>,
    /// A transaction has one, and no more.
    rolled_back: bool,
    /// How many transactions have ended.
    ended: u8,
}

impl Publisher {
    fn next(self) -> Self {
        Self {
            ended: self.ended + 1,
            ..Self::default()
        }
    }
}

impl State {
    pub(super) fn floors(&self) -> Option<u8> {
        self.publishers.iter().filter_map(|p| p.floor).min()
    }

    pub(super) fn publish(&mut self, nth: usize, step: Step, flaw: Flaw) -> Option<()> {
        let mut p = self.publishers[nth];
        let open = p.phase == Phase::Open && p.ended < TRANSACTIONS[nth];
        let late = flaw == Flaw::FloorAfterDraw;
        match step {
            Step::Read if open && !p.noted && p.read.is_none() && (!late || p.offsets > 0) => {
                p.read = Some(self.newest);
            }
            Step::Announce if open => {
                p.floor = Some(p.read.take()?);
                p.noted = true;
                if let Some(savepoint) = &mut p.savepoint {
                    savepoint.floor = true;
                }
            }
            Step::Draw if open && (p.noted || late) && self.newest < OFFSETS => {
                self.newest += 1;
                p.offsets |= 1 << self.newest;
                if let Some(savepoint) = &mut p.savepoint {
                    savepoint.offsets |= 1 << self.newest;
                }
            }
            // Between two statements: not after the sequence was read.
            Step::Savepoint
                if nth == 0
                    && open
                    && p.read.is_none()
                    && p.savepoint.is_none()
                    && !p.rolled_back =>
            {
                p.savepoint = Some(Savepoint::default());
            }
            Step::RollBackToSavepoint if open => {
                let savepoint = p.savepoint.take()?;
                p.rolled_back = true;
                p.read = None;
                p.offsets &= !savepoint.offsets;
                if savepoint.floor {
                    p.floor = None;
                    p.noted = flaw == Flaw::NoteOutlivesSavepoint;
                }
            }
            Step::Commit if open && p.read.is_none() && p.offsets > 0 && (p.noted || !late) => {
                if flaw == Flaw::ReleasedBeforeVisible {
                    p.floor = None;
                    p.phase = Phase::Released;
                } else {
                    self.visible |= p.offsets;
                    p.phase = Phase::Visible;
                }
            }
            Step::Release if p.phase == Phase::Visible => p = p.next(),
            Step::Release if p.phase == Phase::Released => {
                self.visible |= p.offsets;
                p = p.next();
            }
            Step::RollBack if open && p.noted => p = p.next(),
            _ => return None,
        }
        self.publishers[nth] = p;
        Some(())
    }
}
