use vulkan_core::ScheduleMistake;

use crate::handler::OptionsError;

/// Why a worker cannot be built: every mistake there is, not only the first.
#[derive(Debug)]
pub struct BuildError {
    pub(super) mistakes: Vec<Mistake>,
}

impl BuildError {
    /// The mistakes: those of the worker as a whole, then those of its handlers in the order of registration.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the worker cannot be built: ")?;
        for (nth, mistake) in self.mistakes.iter().enumerate() {
            if nth > 0 {
                f.write_str("; ")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

/// One mistake in how a worker was put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// Nothing was registered.
    #[error(
        "neither a handler nor a schedule is registered; add one with .register(..) or .schedule(..)"
    )]
    NoHandler,
    /// A handler was registered before `state(..)`, which it cannot ask for then.
    #[error("handler {handler:?} is registered before the state is set; call .state(..) first")]
    RegisteredBeforeState {
        /// The handler's name.
        handler: String,
    },
    /// The process may handle nothing at once.
    #[error("concurrency is zero; give the worker at least one slot")]
    NoSlots,
    /// A schedule is not well defined.
    #[error("schedule {schedule:?}: {mistake}")]
    Schedule {
        /// The schedule's name.
        schedule: String,
        /// What is wrong with it.
        mistake: ScheduleMistake,
    },
    /// Two schedules have the same name, so the second would take the place of the first.
    #[error("two schedules are named {schedule:?}")]
    SameSchedule {
        /// The name.
        schedule: String,
    },
    /// An option of a handler is not valid.
    #[error("handler {handler:?}: {error}")]
    Options {
        /// The handler's name.
        handler: String,
        /// What is wrong with it.
        error: OptionsError,
    },
    /// A worker that looks for work all the time would do nothing else.
    #[error("poll is zero; look for work every second, or as often as it takes")]
    NoPoll,
    /// Leases and records know the worker by its name.
    #[error("the name of the worker is empty")]
    NoName,
    /// A handler of single messages is told how many to take at once.
    #[error("handler {handler:?} takes one message at a time, so batch means nothing to it")]
    NoBatches {
        /// The handler's name.
        handler: String,
    },
    /// An override names a handler that is not registered.
    #[error("override {place} names no handler{}", did_you_mean(.nearest))]
    UnknownHandler {
        /// Where it stands.
        place: String,
        /// The handler that may have been meant.
        nearest: Option<String>,
    },
    /// An override names an option that does not exist.
    #[error("override {place} names no option{}", did_you_mean(.nearest))]
    UnknownOption {
        /// Where it stands.
        place: String,
        /// The option that may have been meant.
        nearest: Option<String>,
    },
    /// The value of an override is none for its option.
    #[error("override {place}: {problem}")]
    Override {
        /// Where it stands.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// Two handlers of a group take the same kinds, so the second would never be called.
    #[error("handlers {first:?} and {second:?} of group {group:?} both take kind {pattern:?}")]
    SameKind {
        /// The group.
        group: String,
        /// The handler registered first.
        first: String,
        /// The handler registered second.
        second: String,
        /// The pattern both have.
        pattern: String,
    },
    /// A handler before this one takes all of these kinds, so this one would never be called with them.
    #[error(
        "handler {second:?} of group {group:?} would never get kind {pattern:?}, since {first:?} takes {by:?} before it; \
         register the one with the narrower kinds first"
    )]
    Shadowed {
        /// The group.
        group: String,
        /// The handler registered first.
        first: String,
        /// Its pattern.
        by: String,
        /// The handler registered second.
        second: String,
        /// Its pattern, which matches nothing that the other does not.
        pattern: String,
    },
    /// Two handlers of a group disagree on an option that the group has only one of.
    #[error("handlers {first:?} and {second:?} of group {group:?} disagree on {option}")]
    Disagree {
        /// The group.
        group: String,
        /// The handler registered first.
        first: String,
        /// The handler registered second.
        second: String,
        /// The option.
        option: &'static str,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!(", did you mean {name:?}?"),
        None => String::new(),
    }
}

/// Why a worker ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It was not put together rightly.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The database refused to set the worker up: its streams, its groups, its schema.
    #[error("the worker cannot start")]
    Start(#[source] vulkan_core::Error),
    /// Handlers did not finish within the grace period. They were dropped, and their messages
    /// given back to their groups, no attempt spent.
    #[error("{messages} messages were cut off at the end of the grace period and given back")]
    CutOff {
        /// How many.
        messages: usize,
    },
    /// What became of some messages could not be reported before the end. They are handed out again
    /// when their leases run out.
    #[error("what became of {messages} messages could not be reported")]
    Unsettled {
        /// How many.
        messages: usize,
    },
}
