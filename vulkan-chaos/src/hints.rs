//! One line that makes people want to.

use crate::attack::Attack;
use crate::board::Board;
use crate::crew::{Doing, Seen};
use crate::number::Number;
use crate::order::{EMAILS, PAYMENTS};
use crate::server::{How, State};

/// What a hint can be about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) board: Option<&'a Board>,
    pub(crate) members: &'a [Seen],
    pub(crate) server: State,
    pub(crate) failing: bool,
    pub(crate) tried: &'a [Attack],
}

/// The line for what is going on, or a dare where nothing is.
pub(crate) fn hint(facts: &Facts<'_>) -> String {
    let Some(board) = facts.board else {
        return "Postgres starts, the producer publishes, three workers begin.".into();
    };
    if board.counts.sum(Number::Lost) > 0 {
        return "You have done it: a message is lost. Please tell us how!".into();
    }
    match facts.server {
        State::Away(How::Fast, _) => {
            return "No server: the producer keeps asking, and no worker ends for it.".into();
        }
        State::Away(How::Immediate, _) => {
            return "What was acknowledged is in the WAL. What was in work will be done again."
                .into();
        }
        State::Up => {}
    }
    if let Some(stall) = &board.stall {
        return format!(
            "Skipping the open one would lose it later. {} wait behind it. h: let go",
            stall.behind
        );
    }
    if facts
        .members
        .iter()
        .any(|seen| matches!(seen.doing, Doing::Frozen(_)))
    {
        return "A zombie believes that its messages are its own. Watch rerun and repeated.".into();
    }
    if facts.members.iter().all(|seen| seen.doing == Doing::Dead) {
        return "Nobody is left. What they had in work comes back when their leases end.".into();
    }
    if facts.failing {
        return "Retrying climbs; what fails seven times is dead, but not lost. f: enough".into();
    }
    if board.snapshot.is_some() {
        return "This stops most queues in Postgres within minutes. s: let go".into();
    }
    dare(board, facts.tried)
}

/// What has not been tried yet, the worst last.
fn dare(board: &Board, tried: &[Attack]) -> String {
    let counts = &board.counts;
    let next = Attack::ALL
        .into_iter()
        .find(|attack| !tried.contains(attack));
    match next {
        Some(Attack::Kill) => {
            "k kills a worker in the midst of its work. Lost stays 0, or does it?".into()
        }
        Some(Attack::Crash) => {
            "c kills one with its payment written and not committed. Is it booked once?".into()
        }
        Some(Attack::Fail) => "f: 4 of 10 attempts fail. Nothing is dropped for that.".into(),
        Some(Attack::Zombie) => {
            "z freezes a worker until others have its messages, and wakes it. Mean.".into()
        }
        Some(Attack::Restart) => {
            "r restarts the database under everybody. Nobody has to be told.".into()
        }
        Some(Attack::Unplug) => {
            "u pulls the plug of the database. Go on, it is only production.".into()
        }
        Some(Attack::Hold) => {
            "h publishes and does not commit: the bug that every log in SQL had once.".into()
        }
        Some(Attack::Snapshot) => "s holds a snapshot open, as a forgotten psql does.".into(),
        Some(Attack::Redrive) if counts.sum(Number::Dead) > 0 => {
            "The dead are not lost: d hands them out again.".into()
        }
        _ => format!(
            "{} e-mails sent twice; {} payments rerun, {} booked twice. Try two at once.",
            counts.of(Number::Repeated, EMAILS),
            counts.of(Number::Rerun, PAYMENTS),
            counts.of(Number::Repeated, PAYMENTS),
        ),
    }
}
