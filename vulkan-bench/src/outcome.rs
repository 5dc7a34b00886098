//! What a scenario has found: sides that were measured in turn, and how they compare.

use serde::Serialize;

use crate::meter::Cost;

/// What a scenario has found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    pub(crate) sides: Vec<Side>,
    pub(crate) goals: Vec<Goal>,
    /// What else a reader has to know, figures included.
    pub(crate) notes: Vec<String>,
}

/// Something that was measured, once a turn.
#[derive(Debug, Serialize)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
    /// Of the last turn, with the messages it was for.
    pub(crate) cost: Option<(u64, Cost)>,
}

/// A target, and how it was met in each turn.
#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
    pub(crate) target: Target,
}

/// What the median of a goal's values has to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub(crate) fn is_met(&self) -> bool {
        let median = median(&self.values);
        match self.target {
            Target::AtLeast(least) => median >= least,
            Target::AtMost(most) => median <= most,
        }
    }
}

impl Outcome {
    /// The side of this name, which is there from its first value on.
    fn side(&mut self, name: &str, unit: &'static str) -> &mut Side {
        if let Some(at) = self.sides.iter().position(|side| side.name == name) {
            return &mut self.sides[at];
        }
        self.sides.push(Side {
            name: name.to_owned(),
            unit,
            values: Vec::new(),
            cost: None,
        });
        let last = self.sides.len() - 1;
        &mut self.sides[last]
    }

    /// One more turn of a side. Returns the value.
    pub(crate) fn add(&mut self, name: &str, unit: &'static str, value: f64) -> f64 {
        self.side(name, unit).values.push(value);
        value
    }

    /// One more turn of a side, in messages a second, and what it cost. Returns the value.
    pub(crate) fn add_rate(&mut self, name: &str, messages: u64, seconds: f64, cost: Cost) -> f64 {
        let side = self.side(name, "messages/s");
        let rate = messages as f64 / seconds;
        side.values.push(rate);
        side.cost = Some((messages, cost));
        rate
    }

    /// One more turn of a goal.
    pub(crate) fn goal(&mut self, name: &str, value: f64, target: Target) {
        match self.goals.iter_mut().find(|goal| goal.name == name) {
            Some(goal) => goal.values.push(value),
            None => self.goals.push(Goal {
                name: name.to_owned(),
                values: vec![value],
                target,
            }),
        }
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// The middle of some values; of an even number, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// The lowest and the highest of some values.
pub(crate) fn spread(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low, high)
}
