//! What is said at the end, and whether it is good.

use std::fmt;
use std::process::ExitCode;

use crate::number::{Counts, Number};
use crate::order::{GROUPS, PAYMENTS};

/// The last numbers, and how much was done to them.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) counts: Counts,
    pub(crate) attacks: usize,
    /// Nothing is published any more, and all was given the time to be handled.
    pub(crate) drained: bool,
    /// What `vulkan.check()` finds in the tables of the engine, if it was asked.
    pub(crate) broken: Vec<String>,
}

impl Summary {
    pub(crate) fn lost(&self) -> i64 {
        self.counts.sum(Number::Lost)
    }

    /// What must not be, a sentence each.
    pub(crate) fn faults(&self) -> Vec<String> {
        let counts = &self.counts;
        let mut faults = self.broken.clone();
        if self.lost() > 0 {
            faults.push(format!("{} lost", messages(self.lost())));
        }
        let twice = counts.of(Number::Repeated, PAYMENTS);
        if twice > 0 {
            faults.push(format!("{twice} of payments booked more than once"));
        }
        if self.drained && counts.owed() > 0 {
            let owed = counts.owed();
            faults.push(format!("{} still not handled", messages(owed)));
        }
        if self.drained && counts.of(Number::Produced, PAYMENTS) == 0 {
            faults.push("nothing was produced, so nothing is proven".into());
        }
        faults
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.faults().is_empty()))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8}", "")?;
        for number in Number::ALL {
            write!(f, "{:>width$}", number.title(), width = number.width())?;
        }
        for group in GROUPS {
            write!(f, "\n{group:8}")?;
            for number in Number::ALL {
                let (many, width) = (self.counts.of(number, group), number.width());
                write!(f, "{many:>width$}")?;
            }
        }
        let faults = self.faults();
        let verdict = match faults.is_empty() {
            true => "nothing was lost, and no payment was booked twice".to_owned(),
            false => faults.join("; "),
        };
        let attacks = match self.attacks {
            1 => "1 attack".into(),
            many => format!("{many} attacks"),
        };
        write!(f, "\n\n{attacks}: {verdict}")
    }
}

fn messages(many: i64) -> String {
    match many {
        1 => "1 message is".into(),
        many => format!("{many} messages are"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Number, Summary};

    fn summary(change: impl FnOnce(&mut Counts)) -> Summary {
        let mut counts = Counts::default();
        for group in crate::order::GROUPS {
            counts.set(Number::Produced, group, 10);
            counts.set(Number::Processed, group, 10);
        }
        change(&mut counts);
        Summary {
            counts,
            attacks: 3,
            drained: true,
            broken: Vec::new(),
        }
    }

    #[test]
    fn repeated_mails_are_in_order_and_all_else_is_not() {
        let fine = summary(|counts| {
            counts.set(Number::Repeated, "emails", 7);
            counts.set(Number::Rerun, "payments", 7);
            counts.set(Number::Dead, "emails", 1);
        });
        assert!(fine.faults().is_empty(), "{:?}", fine.faults());
        for (number, group, fault) in [
            (Number::Lost, "emails", "1 message is lost"),
            (
                Number::Repeated,
                "payments",
                "1 of payments booked more than once",
            ),
            (Number::Retrying, "emails", "1 message is still not handled"),
        ] {
            let faulty = summary(|counts| counts.set(number, group, 1));
            assert_eq!(faulty.faults(), [fault]);
            assert!(faulty.to_string().contains(fault), "{faulty}");
        }
        let mut broken = summary(|_| ());
        broken.broken.push("rule 1".into());
        assert_eq!(broken.faults(), ["rule 1"]);
        let empty = summary(|counts| *counts = Counts::default());
        assert_eq!(empty.faults().len(), 1);
    }
}
