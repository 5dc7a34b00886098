//! How a fault is run: in which form, and with how much load.

use std::path::PathBuf;

/// How a fault is to be run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// As often and as long as the table of faults has it, instead of within a minute.
    pub(crate) long: bool,
    /// The share of the long form's counts and durations, above 0 and up to 1.
    pub(crate) scale: f64,
    /// Events a second.
    pub(crate) rate: f64,
    /// Where ledgers are kept.
    pub(crate) keep: Option<PathBuf>,
}

impl Plan {
    /// How many, or for how long: of the long form as much as was asked for, and never less than the short form has.
    pub(crate) fn of<T: Much>(&self, short: T, long: T) -> T {
        let share = long.share(self.scale);
        match self.long && share > short {
            true => share,
            false => short,
        }
    }

    /// What this form has, where it is no matter of how much.
    pub(crate) fn form<T>(&self, short: T, long: T) -> T {
        if self.long { long } else { short }
    }

    /// The name of the form.
    pub(crate) fn name(&self) -> String {
        match self.long {
            false => "short".into(),
            true if self.scale < 1.0 => format!("long × {}", self.scale),
            true => "long".into(),
        }
    }
}

/// What there can be more or less of.
pub(crate) trait Much: Copy + PartialOrd {
    /// So much of it, rounded.
    fn share(self, scale: f64) -> Self;
}

impl Much for f64 {
    fn share(self, scale: f64) -> Self {
        self * scale
    }
}

macro_rules! counts {
    ($($count:ty),*) => {$(
        impl Much for $count {
            fn share(self, scale: f64) -> Self {
                (self as f64 * scale).round() as Self
            }
        }
    )*};
}

counts!(i32, u32, i64, u64, usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_form_has_a_share_of_the_long_one_and_no_less_than_the_short_one() {
        let mut plan = Plan {
            long: true,
            scale: 0.3,
            rate: 1.0,
            keep: None,
        };
        assert_eq!((plan.of(6, 200), plan.of(10.0, 600.0)), (60, 180.0));
        assert_eq!(plan.of(6, 10), 6);
        assert_eq!((plan.form(4, 12), plan.name()), (12, "long × 0.3".into()));
        plan.scale = 1.0;
        assert_eq!((plan.of(6, 200), plan.name()), (200, "long".into()));
        plan.long = false;
        assert_eq!((plan.of(6, 200), plan.name()), (6, "short".into()));
    }
}
