//! The end of a run: everything is given time to end, and the oracle judges.

use std::time::Duration;

use serde::Serialize;
use sqlx::AssertSqlSafe;

use super::Stand;
use crate::Result;
use crate::checker::{Counts, Delivered, Final, History, Logged, check};
use crate::clock::{mono_us, seconds};

/// How long what is owed may take to be done.
const DRAIN: u64 = 180;
/// So many anomalies are told word for word.
const TOLD: usize = 20;

/// Something that was to hold.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) target: String,
    pub(crate) met: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub(crate) fault: &'static str,
    pub(crate) title: &'static str,
    pub(crate) form: String,
    /// The load held, in words.
    pub(crate) load: String,
    pub(crate) seconds: f64,
    pub(crate) counts: Counts,
    pub(crate) targets: Vec<Target>,
    /// The first of what must not be.
    pub(crate) anomalies: Vec<String>,
}

impl Outcome {
    /// Whether all targets were met and nothing was found that must not be.
    pub(crate) fn is_met(&self) -> bool {
        self.counts.anomalies.is_empty() && self.targets.iter().all(|target| target.met)
    }
}

impl Stand {
    /// Ends the load, waits until everything owed is done, ends the workers, and judges.
    pub(crate) async fn finish(mut self) -> Result<Outcome> {
        self.quiet().await?;
        let drained = self.drain().await;
        for worker in &mut self.workers {
            worker.end().await?;
        }
        let last = self.last_word().await?;
        self.refresh()?;
        let rules = self.setup.rules();
        std::fs::write(self.ledger().join("last.json"), serde_json::to_vec(&last)?)?;
        std::fs::write(
            self.ledger().join("rules.json"),
            serde_json::to_vec(&rules)?,
        )?;
        let lines = std::mem::take(&mut self.lines);
        let history = History::new(rules, last, lines);
        let anomalies = check(&history);
        let counts = Counts::of(&history, &anomalies);
        if let Err(error) = drained {
            self.expect(
                "everything done at the end",
                error.to_string(),
                "yes",
                false,
            );
        }
        if let Some(sampling) = self.sampling.take() {
            sampling.abort();
        }
        let outcome = Outcome {
            fault: self.name,
            title: "",
            form: self.plan.name(),
            load: format!(
                "{} events/s, {} workers × {} slots, {} groups",
                self.plan.rate,
                self.setup.workers,
                self.setup.slots,
                self.setup.groups.len()
            ),
            seconds: seconds(mono_us() - self.begun),
            counts,
            targets: self.targets,
            anomalies: anomalies
                .iter()
                .take(TOLD)
                .map(ToString::to_string)
                .collect(),
        };
        self.server.end().await?;
        Ok(outcome)
    }

    /// Ends publishers and readers.
    pub(crate) async fn quiet(&mut self) -> Result<()> {
        for mut other in std::mem::take(&mut self.others) {
            other.end().await?;
        }
        Ok(())
    }

    /// Waits until no group owes anything.
    pub(crate) async fn drain(&mut self) -> Result<()> {
        let begun = mono_us();
        loop {
            self.refresh()?;
            match self
                .server
                .value::<bool>(include_str!("../sql/drained.sql"))
                .await
            {
                Ok(true) => return Ok(()),
                Ok(false) | Err(_) if mono_us() - begun < DRAIN * 1_000_000 => {}
                Ok(false) => return Err(format!("work is left after {DRAIN} s").into()),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn last_word(&self) -> Result<Final> {
        let pool = self.pool();
        let log: Vec<(i64, i64, Option<String>)> = sqlx::query_as(include_str!("../sql/log.sql"))
            .fetch_all(pool)
            .await?;
        let deliveries: Vec<(String, i64, String, i32)> =
            sqlx::query_as(include_str!("../sql/deliveries.sql"))
                .fetch_all(pool)
                .await?;
        let effects = sqlx::query_as(include_str!("../sql/effects.sql"))
            .fetch_all(pool)
            .await?;
        let violations =
            sqlx::query_scalar(AssertSqlSafe(include_str!("../sql/check.sql").to_owned()))
                .fetch_all(pool)
                .await?;
        Ok(Final {
            log: (log.into_iter())
                .map(|(offset, id, key)| Logged {
                    offset,
                    id: id.cast_unsigned(),
                    key,
                })
                .collect(),
            deliveries: (deliveries.into_iter())
                .map(|(group, offset, status, attempts)| Delivered {
                    group,
                    offset,
                    status,
                    attempts: attempts.cast_unsigned(),
                })
                .collect(),
            effects,
            violations,
            forgotten: self.forgotten.clone(),
        })
    }
}
