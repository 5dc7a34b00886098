//! One history: its steps, done to the database and to the model.

use std::collections::{BTreeMap, HashMap};

use super::clock;
use super::event::Rules;
use super::model::{Log, Model, State};
use super::publisher::{Dedup, Publisher};
use super::reader::Reader;
use super::step::{Position, Step};
use super::worker::{Batch, WORKERS};
use crate::support::{Group, TestDb};

/// How many groups a history comes to have.
const MOST_GROUPS: usize = 7;

/// The number of the group with limits.
const LIMITED: usize = 3;

pub(super) struct History {
    pub(super) db: TestDb,
    pub(super) clock: i64,
    pub(super) models: Vec<Model>,
    pub(super) reader: Reader,
    pub(super) batches: Vec<Batch>,
    pub(super) events: Log,
    pub(super) open: Vec<Publisher>,
    pub(super) dedup: Dedup,
}

impl History {
    pub(super) async fn new() -> Self {
        let db = TestDb::new().await;
        let mut models = Vec::new();
        for (name, set, max_attempts, lease) in [
            ("plain", "max_attempts = 3", 3, 1),
            ("strict", "max_attempts = 2, on_dead = 'block'", 2, 3),
            ("once", "max_attempts = 1", 1, 1),
            (
                "limited",
                "max_attempts = 3, max_in_flight = 6, max_in_flight_per_prefix = 2, prefix_delimiter = 'k'",
                3,
                2,
            ),
        ] {
            let group = db.group(name).await.with(set).await;
            let mut model = model(group, max_attempts, lease).await;
            model.blocks = name == "strict";
            model.limits = (name == "limited").then_some((6, 2));
            models.push(model);
        }
        let reader = Reader::new(&db).await;
        Self {
            db,
            clock: 0,
            models,
            reader,
            batches: Vec::new(),
            events: BTreeMap::new(),
            open: Vec::new(),
            dedup: Dedup::default(),
        }
    }

    pub(super) async fn step(&mut self, step: &Step) {
        let group = |nth: &u8| usize::from(*nth) % self.models.len();
        match step {
            Step::Begin => self.begin().await,
            Step::Publish {
                within,
                dedup,
                event,
            } => self.publish(*within, *dedup, event.clone()).await,
            Step::Load { events } => self.load(events.clone()).await,
            Step::PublishMany { within, events } => {
                self.publish_many(*within, events.clone()).await;
            }
            Step::Release { within } => self.release(*within).await,
            Step::Savepoint { within } => self.savepoint(*within).await,
            Step::RollbackTo { within } => self.roll_back_to(*within).await,
            Step::End { within, commit } => self.end(*within, *commit).await,
            Step::Claim {
                group: nth,
                worker,
                most,
            } => {
                let worker = usize::from(*worker) % WORKERS;
                self.claim(group(nth), worker, i32::from(*most)).await;
            }
            Step::Settle {
                batch,
                outcomes,
                at,
                again,
            } => {
                self.settle((*batch).into(), outcomes, (*at).into(), *again)
                    .await;
            }
            Step::Complete { batch, nth, commit } => {
                self.complete((*batch).into(), (*nth).into(), *commit).await;
            }
            Step::Extend { batch } => self.extend((*batch).into()).await,
            Step::Die { worker } => self.die(usize::from(*worker) % WORKERS).await,
            Step::Advance { spans } => self.advance(i64::from(*spans) * clock::SPAN).await,
            Step::Skip { group: to, nth } => self.skip(group(to), (*nth).into()).await,
            Step::Cancel { group: to, nth } => self.cancel(group(to), (*nth).into()).await,
            Step::Redrive { group: nth, most } => self.redrive(group(nth), (*most).into()).await,
            Step::Replay { group: nth, to } => self.replay(group(nth), *to).await,
            Step::Bind { group: nth, rules } => self.bind(group(nth), *rules).await,
            Step::PauseOrResume { group: nth } => self.pause_or_resume(group(nth)).await,
            Step::Limit { most, per_prefix } => self.limit(*most, *per_prefix).await,
            Step::NewGroup { latest, rules } => self.new_group(*latest, *rules).await,
            Step::Read { most, commit } => self.read((*most).into(), *commit).await,
            Step::RollSlot => self.operate("SELECT vulkan.roll_slot()".into()).await,
            Step::Maintain => self.operate("SELECT * FROM vulkan.maintain()".into()).await,
            Step::Mark { group: nth } => self.mark(group(nth)).await,
        }
    }

    async fn advance(&mut self, by: i64) {
        self.operate(format!(
            "SELECT vulkan_testing.advance(make_interval(secs => {by}))"
        ))
        .await;
        self.clock += by;
        self.open.iter_mut().for_each(|open| open.outlast(by));
        for model in &mut self.models {
            model.clock = self.clock;
            model.reap();
        }
    }

    /// Lets all that waits for its time be due.
    async fn all_due(&mut self) {
        self.db.all_due().await;
        let clock = self.clock;
        self.events
            .values_mut()
            .for_each(|(_, due_at)| *due_at = clock.min(*due_at));
        let entries = self.models.iter_mut();
        entries
            .flat_map(|model| model.entries.values_mut())
            .for_each(|entry| entry.due_at = clock.min(entry.due_at));
    }

    async fn skip(&mut self, group: usize, nth: usize) {
        let model = &mut self.models[group];
        let Some(offset) = nth_message(model, nth) else {
            return;
        };
        let entry = model.entries.get_mut(&offset).unwrap();
        let was = status(entry.state);
        entry.state = State::Done;
        entry.storied = true;
        entry.asked = false;
        entry.lease_until = None;
        let name = &model.group.name;
        let sql = format!("SELECT vulkan.skip('orders', '{name}', {offset})");
        assert_eq!(self.text(sql).await, was);
    }

    async fn cancel(&mut self, group: usize, nth: usize) {
        let model = &mut self.models[group];
        let Some(offset) = nth_message(model, nth) else {
            return;
        };
        let expected = model.cancel(offset);
        let name = &model.group.name;
        let sql = format!("SELECT vulkan.cancel('orders', '{name}', {offset}, 'no')");
        assert_eq!(self.text(sql).await, expected);
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

    async fn redrive(&mut self, group: usize, at_most: usize) {
        self.redriven(group, at_most).await;
        let name = &self.models[group].group.name;
        let sql = format!("SELECT vulkan.redrive('orders', '{name}', at_most => {at_most})");
        self.operate(sql).await;
    }

    async fn replay(&mut self, group: usize, to: Position) {
        let was = self.models[group].group.cursor().await;
        let position = match to {
            Position::Event(nth) if !self.events.is_empty() => {
                let nth = usize::from(nth) % self.events.len();
                format!("to_offset => {}", self.events.keys().nth(nth).unwrap())
            }
            Position::Latest | Position::Event(_) => "to_position => 'latest'".into(),
            Position::Earliest => "to_position => 'earliest'".into(),
            Position::Group => "to_group => 'plain'".into(),
        };
        let name = self.models[group].group.name.clone();
        self.operate(format!(
            "SELECT vulkan.replay('orders', '{name}', {position})"
        ))
        .await;
        let model = &mut self.models[group];
        let is = model.group.cursor().await;
        model.replay(was, is, &self.events);
    }

    async fn bind(&mut self, group: usize, rules: Rules) {
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

    async fn limit(&mut self, most: u8, per_prefix: u8) {
        self.models[LIMITED].limits = Some((most.into(), per_prefix.into()));
        self.operate(format!(
            "SELECT vulkan.set_limits('orders', 'limited', {most}, {per_prefix})"
        ))
        .await;
    }

    /// Its look takes long enough for a mark, however quick it is. The mark holds until time moves: whatever becomes ready meanwhile
    /// is to be found all the same.
    async fn mark(&self, group: usize) {
        let id = self.models[group].group.id;
        self.operate(format!(
            "SELECT vulkan.mark_ready(g, worth => interval '0') FROM vulkan.groups g WHERE g.group_id = {id}"
        ))
        .await;
        let holds = clock::SPAN / 2;
        self.operate(format!(
            "UPDATE vulkan.ready_marks SET valid_until = clock_timestamp() + make_interval(secs => {holds})
             WHERE group_id = {id} AND valid_until > clock_timestamp()"
        ))
        .await;
    }

    async fn new_group(&mut self, latest: bool, rules: Rules) {
        if self.models.len() == MOST_GROUPS {
            return;
        }
        let start = if latest { self.lso().await } else { 0 };
        let name = format!("group-{}", self.models.len());
        let at = if latest { "latest" } else { "earliest" };
        let json = rules.json();
        self.operate(format!(
            "SELECT vulkan.create_group('orders', '{name}', rules => '{json}', max_attempts => 2, start_at => '{at}')"
        ))
        .await;
        let group = Group::create(&self.db.pool, &name).await;
        let mut model = model(group, 2, 1).await;
        model.clock = self.clock;
        model.start = start;
        model.cursor = start;
        model.bind(-1, rules, &self.events);
        self.models.push(model);
    }

    pub(super) async fn operate(&self, sql: String) {
        let text = sql.clone();
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&self.db.pool)
            .await;
        done.unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    async fn text(&self, sql: String) -> String {
        let text = sql.clone();
        let answer = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        let answer = answer.fetch_one(&self.db.pool).await;
        answer.unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    pub(super) async fn newest_offset(&self) -> i64 {
        self.db
            .value("SELECT last_value FROM vulkan.offset_seq")
            .await
    }

    /// The last stable offset, as it ought to be.
    pub(super) async fn lso(&self) -> i64 {
        let newest = self.newest_offset().await;
        let floors = self.open.iter().filter_map(Publisher::floor);
        floors.min().map_or(newest, |floor| floor.min(newest))
    }

    /// Lets everything come to its end, and asserts that nothing was lost.
    pub(super) async fn finish(&mut self) {
        while !self.open.is_empty() {
            self.end(0, true).await;
        }
        for group in 0..self.models.len() {
            if self.models[group].paused {
                self.pause_or_resume(group).await;
            }
        }
        self.batches.clear();
        for worker in 0..WORKERS {
            self.die(worker).await;
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
        self.read(1_000, true).await;
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

/// A group that has begun at the beginning, and takes everything.
async fn model(group: Group, max_attempts: i32, lease: u8) -> Model {
    let lease = clock::after(lease);
    let sql = "UPDATE vulkan.groups SET lease = make_interval(secs => $1) WHERE group_id = $2";
    sqlx::query(sql)
        .bind(lease as f64)
        .bind(group.id)
        .execute(&group.pool)
        .await
        .unwrap();
    Model {
        group,
        blocks: false,
        paused: false,
        max_attempts,
        lease,
        clock: 0,
        start: -1,
        cursor: 0,
        limits: None,
        entries: BTreeMap::new(),
        bindings: vec![(-1, Rules::All)],
        held: HashMap::new(),
    }
}

fn nth_message(model: &Model, nth: usize) -> Option<i64> {
    let nth = nth % model.entries.len().max(1);
    model.entries.keys().nth(nth).copied()
}

pub(super) fn status(state: State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Processing(_) => "processing",
        State::Done => "done",
        State::Dead => "dead",
    }
}
