//! What a run is to come to.

use serde::Serialize;

use super::Stand;

/// What a target is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// That the fault was there at all. Where it was not, nothing else that was met means anything.
    Inflicted,
    /// What holds on every machine, however slow.
    Kept,
    /// What a machine of its own gets done in time.
    Speed,
    /// A figure without a target.
    Reported,
}

/// Something that was to hold.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) target: String,
    pub(crate) met: bool,
}

impl Stand {
    fn state(&mut self, kind: Kind, what: String, measured: String, target: String, met: bool) {
        self.targets.push(Target {
            kind,
            what,
            measured,
            target,
            met,
        });
    }

    /// States what is to hold, and whether it did.
    pub(crate) fn expect(
        &mut self,
        what: impl Into<String>,
        measured: impl Into<String>,
        target: impl Into<String>,
        met: bool,
    ) {
        self.state(Kind::Kept, what.into(), measured.into(), target.into(), met);
    }

    /// States how it shows that the fault was there, and whether it was.
    pub(crate) fn inflicted(
        &mut self,
        what: impl Into<String>,
        measured: impl Into<String>,
        target: impl Into<String>,
        met: bool,
    ) {
        self.state(
            Kind::Inflicted,
            what.into(),
            measured.into(),
            target.into(),
            met,
        );
    }

    /// States how fast it is to be, and whether it was.
    pub(crate) fn speed(
        &mut self,
        what: impl Into<String>,
        measured: impl Into<String>,
        target: impl Into<String>,
        met: bool,
    ) {
        self.state(
            Kind::Speed,
            what.into(),
            measured.into(),
            target.into(),
            met,
        );
    }

    /// States a figure.
    pub(crate) fn report(&mut self, what: impl Into<String>, measured: impl Into<String>) {
        let none = String::new();
        self.state(Kind::Reported, what.into(), measured.into(), none, true);
    }

    /// States that work flows in every group soon enough after `what`.
    pub(crate) fn expect_flow(&mut self, what: &str, took: f64, most: f64) {
        self.speed(
            format!("work in every group {what}"),
            format!("{took:.1} s"),
            format!("<= {most} s"),
            took <= most,
        );
    }
}
