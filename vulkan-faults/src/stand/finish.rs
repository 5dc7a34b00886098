//! The end of a run: everything is given time to end, and the oracle judges.

use std::time::Duration;

use serde::Serialize;
use sqlx::AssertSqlSafe;

use super::{Kind, Stand, Target};
use crate::Result;
use crate::checker::{Counts, Delivered, Final, History, Logged, check};
use crate::clock::{mono_us, seconds};

/// How long what is owed may take to be done.
const DRAIN: u64 = 180;
/// So many anomalies are told word for word.
const TOLD: usize = 20;

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub(crate) fault: &'static str,
    pub(crate) title: &'static str,
    pub(crate) form: String,
    /// The load that was held, in words.
    pub(crate) load: String,
    pub(crate) seconds: f64,
    pub(crate) counts: Counts,
    pub(crate) targets: Vec<Target>,
    /// The first of what must not be.
    pub(crate) anomalies: Vec<String>,
}

impl Outcome {
    /// Whether the fault was there, nothing was found that must not be, and all was kept that does not depend on how
    /// fast the machine is.
    pub(crate) fn is_kept(&self) -> bool {
        let judged = |target: &&Target| target.kind != Kind::Speed;
        self.counts.anomalies.is_empty()
            && self.targets.iter().filter(judged).all(|target| target.met)
    }

    /// Whether it was fast enough, too.
    pub(crate) fn is_met(&self) -> bool {
        self.is_kept() && self.targets.iter().all(|target| target.met)
    }
}

impl Stand {
    /// Ends the load, waits until everything owed is done, ends the workers, and judges.
    pub(crate) async fn finish(mut self) -> Result<Outcome> {
        let ended = self.ended_unasked()?;
        self.quiet().await?;
        let drained = self.drain().await;
        for worker in std::mem::take(&mut self.workers) {
            self.end_worker(worker).await?;
        }
        let last = self.last_word().await?;
        self.refresh()?;
        if !self.mortal {
            let none = |all: &[String]| match all {
                [] => "none".to_owned(),
                all => all.join(", "),
            };
            let failed = std::mem::take(&mut self.failed);
            self.expect(
                "processes that ended by themselves",
                none(&ended),
                "none",
                ended.is_empty(),
            );
            self.expect(
                "processes that did not end well when asked to",
                none(&failed),
                "none",
                failed.is_empty(),
            );
        }
        let load = self.judge_load();
        let mut rules = self.setup.rules();
        rules.may_die = self.may_die.clone();
        rules.read_all = std::mem::take(&mut self.read_all);
        std::fs::write(self.ledger().join("last.json"), serde_json::to_vec(&last)?)?;
        std::fs::write(
            self.ledger().join("rules.json"),
            serde_json::to_vec(&rules)?,
        )?;
        let lines = std::mem::take(&mut self.lines);
        let history = History::new(rules, last, lines);
        let anomalies = check(&history);
        let counts = Counts::of(&history, &anomalies);
        if self.calm {
            let (again, lost) = (counts.repeated, history.told.len());
            self.expect(
                "messages handled again",
                format!("{again}, leases lost of {lost}"),
                "0: nothing happened to any worker",
                again == 0,
            );
        }
        if counts.unrecovered > 0 {
            self.expect(
                "returns after which a group never worked again",
                counts.unrecovered.to_string(),
                "0",
                false,
            );
        }
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
            load,
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
        self.end_publishers().await?;
        for mut reader in std::mem::take(&mut self.readers) {
            let status = reader.end().await?;
            self.note_end(reader.pid, status);
        }
        Ok(())
    }

    /// Ends publishers.
    pub(crate) async fn end_publishers(&mut self) -> Result<()> {
        for mut other in std::mem::take(&mut self.publishers) {
            let status = other.end().await?;
            self.note_end(other.pid, status);
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
        let written: Vec<i64> = sqlx::query_scalar(include_str!("../sql/written.sql"))
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
            business: written.into_iter().map(i64::cast_unsigned).collect(),
            violations,
            forgotten: self.forgotten.clone(),
        })
    }
}
