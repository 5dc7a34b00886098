//! The steps of a history, each of which makes sense wherever it stands: so any part of a history is one.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::event::{Event, Rules};

/// Numbers that stand for one of several things, such as `group`, are taken modulo how many there are. A step for which there is nothing
/// to do does nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Step {
    /// A publisher opens a transaction.
    Begin,
    /// In the transaction of this number, or in one of its own.
    Publish {
        within: Option<u8>,
        dedup: Option<u8>,
        event: Event,
    },
    /// Loaded into the stream's table by one statement.
    Load {
        events: Vec<Event>,
    },
    /// By one statement, in the transaction of this number or in one of its own.
    PublishMany {
        within: Option<u8>,
        events: Vec<Event>,
    },
    Savepoint {
        within: u8,
    },
    /// The newest savepoint: what was done since stays.
    Release {
        within: u8,
    },
    /// To the newest savepoint.
    RollbackTo {
        within: u8,
    },
    End {
        within: u8,
        commit: bool,
    },
    Claim {
        group: u8,
        worker: u8,
        most: u8,
    },
    /// The outcomes are used in turn. A lane's concerns the message of its run that `at` says.
    Settle {
        batch: u8,
        outcomes: Vec<Outcome>,
        at: u8,
        /// Its worker will do so once more.
        again: bool,
    },
    /// A handler's transaction that marks a message done.
    Complete {
        batch: u8,
        nth: u8,
        commit: bool,
    },
    Extend {
        batch: u8,
    },
    /// All that a worker holds is lost.
    Die {
        worker: u8,
    },
    Advance {
        spans: u8,
    },
    Skip {
        group: u8,
        nth: u16,
    },
    Cancel {
        group: u8,
        nth: u16,
    },
    Redrive {
        group: u8,
        most: u8,
    },
    Replay {
        group: u8,
        to: Position,
    },
    Bind {
        group: u8,
        rules: Rules,
    },
    PauseOrResume {
        group: u8,
    },
    /// Of the group that has limits.
    Limit {
        most: u8,
        per_prefix: u8,
    },
    NewGroup {
        latest: bool,
        rules: Rules,
    },
    /// By the reader of the cursor group.
    Read {
        most: u8,
        commit: bool,
    },
    RollSlot,
    Maintain,
    /// What was ready before is looked for no more, until time moves.
    Mark {
        group: u8,
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    Done,
    Progress,
    Running,
    /// To come back after so many spans; 0: at once.
    Retry(u8),
    Snooze(u8),
    Release,
    Dead,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Position {
    Earliest,
    Latest,
    /// That of the first group.
    Group,
    /// The event of this number.
    Event(u16),
}

impl Step {
    /// Weighed so that histories go on: much is published, claimed and settled.
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let group = || any::<u8>();
        let batch = || any::<u8>();
        prop_oneof![
            3 => Just(Self::Begin),
            18 => (prop::option::weighted(0.5, any::<u8>()), prop::option::weighted(0.2, 0..30_u8), Event::any())
                .prop_map(|(within, dedup, event)| Self::Publish { within, dedup, event }),
            1 => prop::collection::vec(Event::any(), 1..6).prop_map(|events| Self::Load { events }),
            2 => (prop::option::weighted(0.5, any::<u8>()), prop::collection::vec(Event::any(), 1..6))
                .prop_map(|(within, events)| Self::PublishMany { within, events }),
            2 => any::<u8>().prop_map(|within| Self::Savepoint { within }),
            1 => any::<u8>().prop_map(|within| Self::Release { within }),
            2 => any::<u8>().prop_map(|within| Self::RollbackTo { within }),
            8 => (any::<u8>(), prop::bool::weighted(0.75)).prop_map(|(within, commit)| Self::End { within, commit }),
            27 => (group(), 0..3_u8, 1..12_u8).prop_map(|(group, worker, most)| Self::Claim { group, worker, most }),
            22 => (batch(), prop::collection::vec(Outcome::any(), 1..5), any::<u8>(), prop::bool::weighted(0.2))
                .prop_map(|(batch, outcomes, at, again)| Self::Settle { batch, outcomes, at, again }),
            5 => (batch(), any::<u8>(), prop::bool::weighted(0.8))
                .prop_map(|(batch, nth, commit)| Self::Complete { batch, nth, commit }),
            3 => batch().prop_map(|batch| Self::Extend { batch }),
            2 => (0..3_u8).prop_map(|worker| Self::Die { worker }),
            6 => (1..4_u8).prop_map(|spans| Self::Advance { spans }),
            2 => (group(), any::<u16>()).prop_map(|(group, nth)| Self::Skip { group, nth }),
            2 => (group(), any::<u16>()).prop_map(|(group, nth)| Self::Cancel { group, nth }),
            2 => (group(), 1..4_u8).prop_map(|(group, most)| Self::Redrive { group, most }),
            3 => (group(), Position::any()).prop_map(|(group, to)| Self::Replay { group, to }),
            2 => (group(), Rules::any()).prop_map(|(group, rules)| Self::Bind { group, rules }),
            2 => group().prop_map(|group| Self::PauseOrResume { group }),
            1 => (1..9_u8, 1..5_u8).prop_map(|(most, per_prefix)| Self::Limit { most, per_prefix }),
            1 => (any::<bool>(), Rules::any()).prop_map(|(latest, rules)| Self::NewGroup { latest, rules }),
            4 => (1..9_u8, prop::bool::weighted(0.7)).prop_map(|(most, commit)| Self::Read { most, commit }),
            1 => Just(Self::RollSlot),
            1 => Just(Self::Maintain),
            2 => group().prop_map(|group| Self::Mark { group }),
        ]
    }

    /// Smaller steps that might do as well, for a story that is short.
    pub(super) fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Publish {
                within,
                dedup,
                event,
            } => {
                let plain = Event {
                    key: None,
                    delay: None,
                    b: false,
                    eu: true,
                };
                let undelayed = Event {
                    delay: None,
                    ..event.clone()
                };
                [
                    (None, None, plain),
                    (None, *dedup, event.clone()),
                    (*within, None, event.clone()),
                    (*within, *dedup, undelayed),
                ]
                .into_iter()
                .map(|(within, dedup, event)| Self::Publish {
                    within,
                    dedup,
                    event,
                })
                .collect()
            }
            Self::Load { events } if events.len() > 1 => vec![Self::Load {
                events: events[..1].to_vec(),
            }],
            Self::PublishMany { within, events } if events.len() > 1 => vec![Self::PublishMany {
                within: *within,
                events: events[..1].to_vec(),
            }],
            Self::Settle {
                batch,
                outcomes,
                at,
                again,
            } => {
                let settle = |outcomes: Vec<Outcome>, at, again| Self::Settle {
                    batch: *batch,
                    outcomes,
                    at,
                    again,
                };
                let mut simpler = vec![settle(vec![Outcome::Done], *at, *again)];
                if *again || *at > 0 {
                    simpler.push(settle(outcomes.clone(), 0, false));
                }
                simpler.extend(
                    outcomes
                        .iter()
                        .filter(|_| outcomes.len() > 1)
                        .map(|one| settle(vec![*one], *at, *again)),
                );
                simpler
            }
            Self::Advance { spans } if *spans > 1 => vec![Self::Advance { spans: 1 }],
            _ => Vec::new(),
        }
    }
}

impl Outcome {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            3 => Just(Self::Done),
            1 => Just(Self::Progress),
            1 => Just(Self::Running),
            2 => (0..3_u8).prop_map(Self::Retry),
            1 => (0..3_u8).prop_map(Self::Snooze),
            1 => Just(Self::Release),
            1 => Just(Self::Dead),
        ]
    }
}

impl Position {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            1 => Just(Self::Earliest),
            1 => Just(Self::Latest),
            1 => Just(Self::Group),
            3 => any::<u16>().prop_map(Self::Event),
        ]
    }
}
