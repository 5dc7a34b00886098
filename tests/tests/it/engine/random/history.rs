use std::collections::{BTreeMap, HashMap};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sqlx::{Postgres, Transaction};

use super::event::{Event, Rules};
use super::model::{Model, State};
use super::worker::{Batch, WORKERS};
use crate::support::TestDb;

/// A publisher's open transaction, and what it has published.
type Open = (Transaction<'static, Postgres>, Vec<(i64, Event)>);

pub(super) struct History {
    pub(super) db: TestDb,
    pub(super) rng: StdRng,
    pub(super) models: Vec<Model>,
    pub(super) batches: Vec<Batch>,
    /// The last steps, told when one fails.
    pub(super) log: Vec<String>,
    events: BTreeMap<i64, Event>,
    open: Vec<Open>,
    dedup: HashMap<String, i64>,
}

impl History {
    pub(super) async fn new(seed: u64) -> Self {
        let db = TestDb::new().await;
        let mut models = Vec::new();
        let limits = "max_attempts = 3, max_in_flight = 6, max_in_flight_per_prefix = 2, prefix_delimiter = 'k'";
        for (name, set, max_attempts, blocks, limits) in [
            ("plain", "max_attempts = 3", 3, false, None),
            (
                "strict",
                "max_attempts = 2, on_dead = 'block'",
                2,
                true,
                None,
            ),
            ("once", "max_attempts = 1", 1, false, None),
            ("limited", limits, 3, false, Some((6, 2))),
        ] {
            models.push(Model {
                group: db.group(name).await.with(set).await,
                blocks,
                paused: false,
                max_attempts,
                limits,
                entries: BTreeMap::new(),
                bindings: vec![(-1, Rules::All)],
                held: HashMap::new(),
            });
        }
        Self {
            db,
            rng: StdRng::seed_from_u64(seed),
            models,
            batches: Vec::new(),
            log: Vec::new(),
            events: BTreeMap::new(),
            open: Vec::new(),
            dedup: HashMap::new(),
        }
    }

    pub(super) async fn step(&mut self) {
        let group = self.rng.random_range(0..self.models.len());
        match self.rng.random_range(0..100) {
            0..20 => self.publish().await,
            20..28 => self.end_transaction().await,
            28..55 => {
                let worker = self.rng.random_range(0..WORKERS);
                let at_most = self.rng.random_range(1..12);
                self.claim(group, worker, at_most).await;
            }
            55..77 => self.settle().await,
            77..82 => {
                let worker = self.rng.random_range(0..WORKERS);
                self.lose_leases(worker).await;
            }
            82..86 => self.all_due().await,
            86..88 => self.skip(group).await,
            88..90 => self.cancel(group).await,
            90..92 => self.redrive(group).await,
            92..95 => self.replay(group).await,
            95..97 => self.rebind(group).await,
            97..99 => self.pause_or_resume(group).await,
            _ => self.operate("SELECT vulkan.roll_slot()".into()).await,
        }
        self.compare().await;
    }

    async fn publish(&mut self) {
        let event = Event::random(&mut self.rng);
        if self.open.len() < 3 && self.rng.random_bool(0.4) {
            self.open
                .push((self.db.pool.begin().await.unwrap(), Vec::new()));
        }
        if !self.open.is_empty() && self.rng.random_bool(0.5) {
            let nth = self.rng.random_range(0..self.open.len());
            let (transaction, mine) = &mut self.open[nth];
            let offset = event.publish().send(&mut **transaction).await;
            mine.push((offset, event));
            return;
        }
        let mut publish = event.publish();
        let id = self.rng.random_range(0..40).to_string();
        let known = self.dedup.get(&id).copied();
        let deduplicated = self.rng.random_bool(0.2);
        if deduplicated {
            publish = publish.dedup(&id);
        }
        let offset = publish.send(&self.db.pool).await;
        if deduplicated {
            self.dedup.insert(id, offset);
            if let Some(known) = known {
                assert_eq!(offset, known);
                return;
            }
        }
        self.commit(vec![(offset, event)]);
    }

    async fn end_transaction(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let nth = self.rng.random_range(0..self.open.len());
        let (transaction, mine) = self.open.swap_remove(nth);
        if self.rng.random_bool(0.25) {
            transaction.rollback().await.unwrap();
        } else {
            transaction.commit().await.unwrap();
            self.commit(mine);
        }
    }

    fn commit(&mut self, committed: Vec<(i64, Event)>) {
        for (offset, event) in committed {
            for model in &mut self.models {
                model.arrive(offset, &event);
            }
            self.events.insert(offset, event);
        }
    }

    async fn all_due(&mut self) {
        self.db.all_due().await;
        self.log.push("all due".into());
        for event in self.events.values_mut() {
            event.delayed = false;
        }
        // Not yet committed, and no longer to be told apart.
        for (transaction, mine) in &mut self.open {
            let sql = "UPDATE vulkan.events SET deliver_at = clock_timestamp()
                       WHERE deliver_at > clock_timestamp()";
            sqlx::query(sql).execute(&mut **transaction).await.unwrap();
            mine.iter_mut().for_each(|(_, event)| event.delayed = false);
        }
        for model in &mut self.models {
            model
                .entries
                .values_mut()
                .for_each(|entry| entry.due = true);
        }
    }

    async fn skip(&mut self, group: usize) {
        let model = &mut self.models[group];
        let offsets: Vec<i64> = model.entries.keys().copied().collect();
        let Some(&offset) = offsets.choose(&mut self.rng) else {
            return;
        };
        let entry = model.entries.get_mut(&offset).unwrap();
        entry.state = State::Done;
        entry.storied = true;
        entry.asked = false;
        let sql = format!(
            "SELECT vulkan.skip('orders', '{}', {offset})",
            model.group.name
        );
        self.operate(sql).await;
    }

    async fn cancel(&mut self, group: usize) {
        let model = &mut self.models[group];
        let offsets: Vec<i64> = model.entries.keys().copied().collect();
        let Some(&offset) = offsets.choose(&mut self.rng) else {
            return;
        };
        let expected = model.cancel(offset);
        let name = &model.group.name;
        let sql = format!("SELECT vulkan.cancel('orders', '{name}', {offset}, 'no')");
        self.log.push(sql.clone());
        let was: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&self.db.pool)
            .await
            .unwrap();
        assert_eq!(was, expected, "{:#?}", self.tail());
    }

    /// Tells the model that so many dead messages come back.
    async fn redriven(&mut self, group: usize, at_most: usize) {
        let model = &mut self.models[group];
        let cursor = model.group.cursor().await;
        let sql = "SELECT x.\"offset\" FROM vulkan.exceptions x
            JOIN vulkan.lanes l ON l.group_id = x.group_id AND l.key_hash = x.lane
            WHERE x.group_id = $1 AND x.status = 'dead' AND l.status = 'processing' AND l.straggler IS NULL
              AND x.\"offset\" > l.head AND x.\"offset\" <= l.through";
        let passed_over: Vec<i64> = sqlx::query_scalar(sql)
            .bind(model.group.id)
            .fetch_all(&self.db.pool)
            .await
            .unwrap();
        model.redrive(at_most, cursor, &passed_over, &self.events);
    }

    async fn redrive(&mut self, group: usize) {
        let at_most = self.rng.random_range(1..4);
        self.redriven(group, at_most).await;
        let name = &self.models[group].group.name;
        let sql = format!("SELECT vulkan.redrive('orders', '{name}', at_most => {at_most})");
        self.operate(sql).await;
    }

    async fn replay(&mut self, group: usize) {
        let model = &mut self.models[group];
        let was = model.group.cursor().await;
        let offsets: Vec<i64> = self.events.keys().copied().collect();
        let position = match (self.rng.random_range(0..6), offsets.choose(&mut self.rng)) {
            (0, _) | (_, None) => "to_position => 'latest'".into(),
            (1, _) => "to_position => 'earliest'".into(),
            (2, _) => "to_group => 'plain'".into(),
            (_, Some(offset)) => format!("to_offset => {offset}"),
        };
        let name = model.group.name.clone();
        self.operate(format!(
            "SELECT vulkan.replay('orders', '{name}', {position})"
        ))
        .await;
        let model = &mut self.models[group];
        let is = model.group.cursor().await;
        model.replay(was, is, &self.events);
    }

    async fn rebind(&mut self, group: usize) {
        let rules = Rules::random(&mut self.rng);
        let model = &mut self.models[group];
        let cursor = model.group.cursor().await;
        model.bind(cursor, rules, &self.events);
        let (name, rules) = (model.group.name.clone(), rules.json());
        self.operate(format!(
            "SELECT vulkan.set_binding('orders', '{name}', '{rules}')"
        ))
        .await;
    }

    async fn pause_or_resume(&mut self, group: usize) {
        let model = &mut self.models[group];
        let call = if model.paused { "resume" } else { "pause" };
        model.paused = !model.paused;
        let name = model.group.name.clone();
        self.operate(format!("SELECT vulkan.{call}('orders', '{name}')"))
            .await;
    }

    pub(super) async fn operate(&mut self, sql: String) {
        self.log.push(sql.clone());
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&self.db.pool)
            .await;
        done.unwrap_or_else(|error| panic!("{error} after {:#?}", self.tail()));
    }

    /// The last steps.
    pub(super) fn tail(&self) -> &[String] {
        &self.log[self.log.len().saturating_sub(25)..]
    }

    /// Holds the database against the model, and against itself.
    async fn compare(&mut self) {
        let violations: Vec<String> =
            sqlx::query_scalar("SELECT consumer_group || ': ' || detail FROM vulkan.check()")
                .fetch_all(&self.db.pool)
                .await
                .unwrap();
        assert!(
            violations.is_empty(),
            "{violations:#?} after {:#?}",
            self.tail()
        );
        let rows: Vec<(String, i64, String, i32)> = sqlx::query_as(
            "SELECT consumer_group, event_offset, status, attempts FROM vulkan.deliveries",
        )
        .fetch_all(&self.db.pool)
        .await
        .unwrap();
        for model in &self.models {
            model.assert_limits();
            let name = &model.group.name;
            let found: BTreeMap<_, _> = rows
                .iter()
                .filter(|(group, ..)| group == name)
                .map(|(_, offset, status, attempts)| (*offset, shown(status, *attempts)))
                .collect();
            let expected: BTreeMap<_, _> = model
                .entries
                .iter()
                .map(|(offset, entry)| (*offset, shown(status(entry.state), entry.attempts)))
                .collect();
            for offset in found.keys().chain(expected.keys()) {
                let (found, expected) = (found.get(offset), expected.get(offset));
                let entry = model.entries.get(offset);
                assert_eq!(
                    found,
                    expected,
                    "{offset} of {name}: {entry:?} {:#?}",
                    self.tail()
                );
            }
        }
        let unlike: Vec<(i64, String)> = sqlx::query_as(
            "SELECT coalesce(i.\"offset\", d.event_offset), concat_ws(' ', i, d)
             FROM (SELECT e.\"offset\", i.* FROM vulkan.events e, vulkan.inspect(e.\"offset\") i) i
             FULL JOIN vulkan.deliveries d
                 ON d.event_offset = i.\"offset\" AND d.consumer_group = i.consumer_group
             WHERE (i.status, i.attempts, i.last_error, i.worker, i.lease_until) IS DISTINCT FROM
                   (d.status, d.attempts, d.last_error, d.worker, d.lease_until)",
        )
        .fetch_all(&self.db.pool)
        .await
        .unwrap();
        assert!(
            unlike.is_empty(),
            "inspect() differs: {unlike:?} after {:#?}",
            self.tail()
        );
    }

    /// Lets everything come to its end, and asserts that nothing was lost.
    pub(super) async fn finish(mut self) {
        while !self.open.is_empty() {
            self.end_transaction().await;
        }
        for group in 0..self.models.len() {
            if self.models[group].paused {
                self.pause_or_resume(group).await;
            }
        }
        self.batches.clear();
        for worker in 0..WORKERS {
            self.lose_leases(worker).await;
        }
        loop {
            self.all_due().await;
            for group in 0..self.models.len() {
                self.redrive_blocked(group).await;
                self.drain(group).await;
            }
            self.compare().await;
            let mut entries = self.models.iter().flat_map(|model| model.entries.values());
            if entries.all(|entry| matches!(entry.state, State::Done | State::Dead)) {
                break;
            }
        }
    }

    /// A dead message that blocks its key would hold it for ever.
    async fn redrive_blocked(&mut self, group: usize) {
        if self.models[group].blocks {
            self.redriven(group, usize::MAX).await;
            self.operate("SELECT vulkan.redrive('orders', 'strict')".into())
                .await;
        }
    }
}

fn status(state: State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Processing(_) => "processing",
        State::Done => "done",
        State::Dead => "dead",
    }
}

/// How many attempts a done message took is not kept for all of them.
fn shown(status: &str, attempts: i32) -> (String, i32) {
    (status.into(), if status == "done" { 0 } else { attempts })
}
