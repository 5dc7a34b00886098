use std::fmt;
use std::time::Duration;

use vulkan_core::{Diagnosis, Error};

use super::Attempt;

/// Something that happened in a worker, told to every listener of
/// [`WorkerBuilder::on_event`](crate::WorkerBuilder::on_event).
///
/// Events hold no payload and no partition key. Match on those you want and end with `_ => {}`: more
/// will come.
///
/// # A message's way
///
/// [`Claimed`](Self::Claimed), then per message [`Begun`](Self::Begun) and one of
/// [`Succeeded`](Self::Succeeded), [`Failed`](Self::Failed), [`Snoozed`](Self::Snoozed),
/// [`Interrupted`](Self::Interrupted). Within about a second the worker reports this to the database,
/// which is [`Settled`](Self::Settled); only then is it known what became of a message, and so
/// [`Dead`](Self::Dead) and [`Stale`](Self::Stale) come after it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WorkerEvent<'a> {
    /// The worker has made its streams and groups, and claims from now on.
    #[non_exhaustive]
    Started {
        /// Its name.
        worker: &'a str,
        /// How many groups it serves.
        groups: usize,
    },
    /// Something is wrong with the server, as far as what Vulkan promises depends on it. The worker works all the same.
    #[non_exhaustive]
    Diagnosed {
        /// What, and what to do about it.
        diagnosis: &'a Diagnosis,
    },
    /// The worker was asked to stop, and claims nothing more.
    #[non_exhaustive]
    Stopping {
        /// Its name.
        worker: &'a str,
    },
    /// An operator asked the worker to drain: it stops as when it is asked to by its program.
    #[non_exhaustive]
    DrainRequested {
        /// Its name.
        worker: &'a str,
    },
    /// Workers of other versions of the program serve some of its groups, or do so no longer.
    #[non_exhaustive]
    OtherVersions {
        /// The worker's name.
        worker: &'a str,
        /// Its own version; empty if it has none.
        version: &'a str,
        /// The others; none when the last of them has gone.
        others: &'a [String],
    },
    /// A group has other options than this program declares: a higher version, or an operator, has set
    /// them. It is served with the group's.
    #[non_exhaustive]
    OptionsDiffer {
        /// The stream.
        stream: &'a str,
        /// The group.
        group: &'a str,
        /// The version whose declaration stands; empty if it has none.
        standing_version: &'a str,
        /// The options, each with what is declared here and what the group has.
        differences: &'a str,
    },
    /// The options of a group were changed while it is served.
    #[non_exhaustive]
    OptionsChanged {
        /// The stream.
        stream: &'a str,
        /// The group.
        group: &'a str,
        /// A message is dead after this many attempts.
        max_attempts: u32,
        /// How long a message stays with a worker that gives no sign of life.
        lease: Duration,
    },
    /// The grace period is over; handlers that still run are dropped, and their messages given back.
    #[non_exhaustive]
    CutOff {
        /// The worker's name.
        worker: &'a str,
        /// How many messages are in work.
        messages: usize,
    },
    /// Handlers were dropped and did not end, since they never yield. Their messages are given back.
    #[non_exhaustive]
    LeftBehind {
        /// The worker's name.
        worker: &'a str,
        /// How many messages they are at.
        messages: usize,
    },
    /// The worker has ended.
    #[non_exhaustive]
    Stopped {
        /// Its name.
        worker: &'a str,
        /// How many messages were cut off and given back.
        cut_off: usize,
        /// How many settlements could not be reported: their messages are handed out again when
        /// their leases run out.
        unsettled: usize,
    },

    /// Messages were claimed. A claim that finds nothing is not told.
    #[non_exhaustive]
    Claimed {
        /// The stream.
        stream: &'a str,
        /// The group they were claimed for.
        group: &'a str,
        /// How many.
        messages: usize,
        /// How long the call took.
        took: Duration,
    },
    /// A message is of a kind that no handler of this worker takes. It is put off if another worker takes it,
    /// and else counts as a failed attempt: another release may have a handler for it.
    #[non_exhaustive]
    NoHandler {
        /// The message; its handler has no name.
        attempt: Attempt<'a>,
        /// Another worker of the group takes it, or may: this happens while a release is rolled out.
        elsewhere: bool,
    },
    /// A handler is about to be called.
    #[non_exhaustive]
    Begun {
        /// Which one, with what.
        attempt: Attempt<'a>,
    },
    /// A handler returned `Ok`.
    #[non_exhaustive]
    Succeeded {
        /// Which one, with what.
        attempt: Attempt<'a>,
        /// How long it ran.
        took: Duration,
    },
    /// An attempt failed: by an error, a panic, or its timeout; or its message was cancelled before it began, or
    /// without it taking heed.
    #[non_exhaustive]
    Failed {
        /// Which one, with what.
        attempt: Attempt<'a>,
        /// What went wrong, with its sources, as it will stand in `last_error`.
        error: &'a str,
        /// The delay before the next attempt; `None` leaves it to the backoff of the group.
        after: Option<Duration>,
        /// No attempt follows, as far as the worker knows; [`Dead`](WorkerEvent::Dead) tells for sure, and of a message
        /// that was cancelled it alone.
        last: bool,
        /// How long it ran.
        took: Duration,
    },
    /// A handler wants its message again later, no attempt spent.
    #[non_exhaustive]
    Snoozed {
        /// Which one, with what.
        attempt: Attempt<'a>,
        /// The delay.
        after: Duration,
        /// How long it ran.
        took: Duration,
    },
    /// The worker ended an attempt; the message goes back, or went to somebody else already.
    #[non_exhaustive]
    Interrupted {
        /// Which one, with what.
        attempt: Attempt<'a>,
        /// Why.
        why: Interruption,
        /// How long it ran.
        took: Duration,
    },
    /// A handler was told to end, did not, and is dropped.
    #[non_exhaustive]
    CancellationIgnored {
        /// Which one, with what.
        attempt: Attempt<'a>,
        /// Why it was told.
        why: Interruption,
        /// How long it was given.
        given: Duration,
    },

    /// A handler blocks its thread: nothing can end it but itself, or the end of the process.
    #[non_exhaustive]
    Stuck {
        /// The stream.
        stream: &'a str,
        /// The group.
        group: &'a str,
        /// The handler, by its name.
        handler: &'a str,
        /// The position of the event in its stream; of a batch, the first.
        offset: i64,
        /// How long it has been blocking, at least.
        blocked: Duration,
    },

    /// The database took a report of what became of messages.
    #[non_exhaustive]
    Settled {
        /// The stream.
        stream: &'a str,
        /// The group.
        group: &'a str,
        /// How many claims it closed.
        claims: usize,
        /// How many messages and lanes it spoke of one by one.
        items: usize,
        /// How long the call took.
        took: Duration,
    },
    /// Messages were given back with no attempt spent: they could not begin in time, or the worker stops.
    #[non_exhaustive]
    Released {
        /// The stream.
        stream: &'a str,
        /// The group.
        group: &'a str,
        /// How many items of the settlement said so; a whole run of one key counts as one.
        messages: usize,
    },
    /// A message is dead: the database says so.
    #[non_exhaustive]
    Dead {
        /// The attempt that was the last.
        attempt: Attempt<'a>,
        /// What went wrong.
        error: &'a str,
    },
    /// A report came too late: leases were lost before, and the messages are handled again.
    #[non_exhaustive]
    Stale {
        /// The stream.
        stream: &'a str,
        /// The group.
        group: &'a str,
        /// How many claims, messages and lanes.
        settlements: usize,
    },
    /// The database refuses what became of one message, again and again. The message is left to its
    /// lease, and handled again when that runs out.
    #[non_exhaustive]
    Unsettleable {
        /// The stream.
        stream: &'a str,
        /// The group.
        group: &'a str,
        /// Why.
        error: &'a Error,
    },

    /// The lease of a message in work is lost; its handler is told to end.
    #[non_exhaustive]
    LeaseLost {
        /// The stream.
        stream: &'a str,
        /// The group.
        group: &'a str,
        /// The position of the event in its stream.
        offset: i64,
    },
    /// Lost leases, of whatever worker and group, were found, and what they held given back.
    #[non_exhaustive]
    Reaped {
        /// Claims, each of any number of messages.
        claims: usize,
        /// Messages with a lease of their own.
        messages: usize,
        /// Runs of keys.
        lanes: usize,
    },

    /// A recurring event was published by this worker.
    #[non_exhaustive]
    ScheduleFired {
        /// The schedule.
        schedule: &'a str,
        /// The offsets of the ticks that were due, oldest first; none where all were left out by policy.
        offsets: &'a [i64],
    },
    /// A recurring event cannot be published. Unless it passes by itself, it is noted in
    /// `vulkan.schedule_overview`, and tried again in a minute.
    #[non_exhaustive]
    ScheduleFailed {
        /// The schedule.
        schedule: &'a str,
        /// Why.
        error: &'a Error,
    },

    /// A call of the database failed. The worker tries again.
    #[non_exhaustive]
    Trouble {
        /// What the worker wanted.
        call: DatabaseCall,
        /// The stream and the group, if the call was for one.
        group: Option<(&'a str, &'a str)>,
        /// Why; `None` if there is no answer yet.
        error: Option<&'a Error>,
    },
}

/// Why a worker ends an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interruption {
    /// The lease was lost: somebody else handles the message, or will.
    LeaseLost,
    /// The worker stops, and its grace period is over.
    Shutdown,
    /// An operator cancelled the message.
    Cancelled,
    /// The lease of another message of its batch was lost, and the transaction of the batch could not commit.
    RolledBack,
}

/// What a worker asks the database for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DatabaseCall {
    /// To start: streams, groups, schema.
    Start,
    /// To claim messages.
    Claim,
    /// To report what became of them.
    Settle,
    /// To extend leases.
    Extend,
    /// To look for work.
    Look,
    /// To look for lost leases.
    Reap,
    /// To look after the log.
    Maintain,
    /// To look for recurring events that are due.
    Schedules,
    /// To give a sign of life.
    Beat,
    /// To learn whether another worker takes a kind that this one has no handler for.
    Elsewhere,
    /// To hear what operators want.
    Orders,
}

/// The words of a log line after "cannot".
impl fmt::Display for DatabaseCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start yet",
            Self::Claim => "claim",
            Self::Settle => "settle",
            Self::Extend => "extend leases",
            Self::Look => "look for work",
            Self::Reap => "look for lost leases",
            Self::Maintain => "look after the log",
            Self::Schedules => "look for schedules",
            Self::Beat => "give a sign of life",
            Self::Elsewhere => "ask who takes a kind",
            Self::Orders => "ask for orders",
        })
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeaseLost => "its lease is lost",
            Self::Shutdown => "the worker stops",
            Self::Cancelled => "its message was cancelled",
            Self::RolledBack => "its batch is rolled back",
        })
    }
}
