//! The database held against the model: every view, after every step.

use std::collections::BTreeMap;

use sqlx::FromRow;

use super::history::{History, status};
use super::model::{Model, State};

#[derive(FromRow)]
struct Delivery {
    consumer_group: String,
    event_offset: i64,
    status: String,
    attempts: i32,
    worker: Option<String>,
    due: Option<bool>,
}

#[derive(FromRow)]
struct Overview {
    consumer_group: String,
    paused: bool,
    cursor: i64,
    lso: i64,
    lag_messages: i64,
    in_flight: i64,
    ready: i64,
    dead: i64,
    blocked_keys: i64,
}

#[derive(FromRow)]
struct Blocked {
    consumer_group: String,
    partition_key: String,
    head: i64,
    reason: String,
}

/// What of a message is compared. How many attempts a done one took is not kept for all of them; when one is due that came
/// back out of turn is its lane's business.
type Shown = (&'static str, i32, Option<String>, Option<bool>);

impl History {
    pub(super) async fn compare(&mut self) {
        let violations: Vec<String> = self
            .rows_of("SELECT concat_ws(': ', consumer_group, detail) AS text FROM vulkan.check()")
            .await
            .into_iter()
            .map(|(text,): (String,)| text)
            .collect();
        assert!(violations.is_empty(), "check(): {violations:#?}");
        self.compare_deliveries().await;
        self.compare_overview().await;
        self.compare_blocked_keys().await;
        self.compare_inspect().await;
        self.compare_publishers().await;
        self.compare_prefixes().await;
        self.compare_groups_alone().await;
    }

    async fn rows_of<T>(&self, sql: &'static str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
    {
        let rows = sqlx::query_as(sql).fetch_all(&self.db.pool).await;
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn compare_deliveries(&self) {
        let rows: Vec<Delivery> = self
            .rows_of(
                "SELECT consumer_group, event_offset, status, attempts,
                        CASE WHEN status = 'processing' THEN worker END AS worker,
                        CASE WHEN status = 'ready' THEN run_at <= clock_timestamp() END AS due
                 FROM vulkan.deliveries",
            )
            .await;
        for model in &self.models {
            let name = &model.group.name;
            let mut found: BTreeMap<i64, Shown> = rows
                .iter()
                .filter(|row| &row.consumer_group == name)
                .map(|row| (row.event_offset, row.shown(model)))
                .collect();
            for (offset, entry) in &model.entries {
                let expected = shown(model, *offset);
                let found = found.remove(offset);
                assert_eq!(
                    found.as_ref(),
                    Some(&expected),
                    "{offset} of {name} at {}: {entry:?}",
                    self.clock
                );
            }
            assert!(found.is_empty(), "{name} has besides: {found:?}");
        }
    }

    async fn compare_overview(&mut self) {
        let lso = self.lso().await;
        let rows: Vec<Overview> = self
            .rows_of(
                "SELECT consumer_group, paused_at IS NOT NULL AS paused, cursor, lso, lag_messages, in_flight, ready, dead, blocked_keys
                 FROM vulkan.group_overview WHERE mode = 'lifecycle'",
            )
            .await;
        assert_eq!(rows.len(), self.models.len());
        for row in rows {
            let name = &row.consumer_group;
            let mut models = self.models.iter_mut();
            let model = models.find(|model| &model.group.name == name).unwrap();
            assert_eq!(row.lso, lso, "the last stable offset");
            assert!(
                row.cursor <= lso,
                "{name} is at {}, above {lso}",
                row.cursor
            );
            assert!(
                row.cursor >= model.cursor,
                "the cursor of {name} was at {}, and is at {}",
                model.cursor,
                row.cursor
            );
            model.cursor = row.cursor;
            let count = |state: fn(State) -> bool, after: i64, up_to: i64| {
                let entries = model.entries.range(after + 1..=up_to);
                entries.filter(|(_, entry)| state(entry.state)).count() as i64
            };
            // Skipped or cancelled before their turn, they are passed all the same.
            let lag = self.events.range(row.cursor + 1..);
            let lag = lag.filter(|(offset, (event, _))| model.wants(**offset, event));
            let lag = lag.count() as i64;
            let ready = lag + count(|state| state == State::Ready, -1, row.cursor);
            let in_work = |state| matches!(state, State::Processing(_));
            let in_flight = count(in_work, -1, i64::MAX - 1);
            let dead = count(|state| state == State::Dead, -1, i64::MAX - 1);
            assert_eq!(
                (
                    row.paused,
                    row.lag_messages,
                    row.in_flight,
                    row.ready,
                    row.dead
                ),
                (model.paused, lag, in_flight, ready, dead),
                "{name} at a glance: paused, lag, in flight, ready, dead"
            );
            if model.limits.is_none() && !model.is_any_disordered() {
                let blocked = model.blocked_keys().len() as i64;
                assert_eq!(row.blocked_keys, blocked, "blocked keys of {name}");
            }
        }
    }

    async fn compare_blocked_keys(&self) {
        let rows: Vec<Blocked> = self
            .rows_of("SELECT consumer_group, partition_key, head, reason FROM vulkan.blocked_keys")
            .await;
        for model in self.models.iter().filter(|model| model.limits.is_none()) {
            let name = &model.group.name;
            let found: BTreeMap<String, (i64, &str)> = rows
                .iter()
                .filter(|row| &row.consumer_group == name)
                .map(|row| (row.partition_key.clone(), (row.head, row.reason.as_str())))
                .filter(|(key, _)| !model.is_disordered(key))
                .collect();
            let mut expected = model.blocked_keys();
            expected.retain(|key, _| !model.is_disordered(key));
            assert_eq!(found, expected, "blocked keys of {name} at {}", self.clock);
        }
    }

    /// Who holds the last stable offset back, and from where on.
    async fn compare_publishers(&self) {
        let found: Vec<(i64,)> = self
            .rows_of("SELECT floor FROM vulkan.lso_holders WHERE stream = 'orders' ORDER BY 1")
            .await;
        let mut expected: Vec<(i64,)> = self
            .open
            .iter()
            .filter_map(|open| Some((open.floor()?,)))
            .collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "floors of open publishers");
    }

    /// What counts against limits: all keys have one prefix.
    async fn compare_prefixes(&self) {
        let rows: Vec<(String, i64)> = self
            .rows_of(
                "SELECT consumer_group, sum(in_flight)::bigint FROM vulkan.prefix_overview GROUP BY 1",
            )
            .await;
        let found: BTreeMap<&str, i64> = rows
            .iter()
            .filter(|(_, in_flight)| *in_flight > 0)
            .map(|(name, in_flight)| (name.as_str(), *in_flight))
            .collect();
        let expected: BTreeMap<&str, i64> = self
            .models
            .iter()
            .map(|model| {
                let runs = model.held.values().flat_map(|held| held.lanes.values());
                let in_flight: usize = runs.map(|run| run.offsets.len()).sum();
                (model.group.name.as_str(), in_flight as i64)
            })
            .filter(|(_, in_flight)| *in_flight > 0)
            .collect();
        assert_eq!(found, expected, "messages of runs in work");
    }

    /// What is asked of one group at a time.
    async fn compare_groups_alone(&self) {
        let rows: Vec<(String, i64, bool, bool)> = self
            .rows_of(
                "SELECT o.consumer_group, vulkan.lag(g.group_id), vulkan.is_drained(o.stream, o.consumer_group),
                     o.lag_messages = 0 AND o.in_flight = 0 AND o.ready = 0
                 FROM vulkan.group_overview o JOIN vulkan.groups g ON g.name = o.consumer_group
                 WHERE o.mode = 'lifecycle'",
            )
            .await;
        for (name, lag, drained, is_empty) in rows {
            let mut models = self.models.iter();
            let model = models.find(|model| model.group.name == name).unwrap();
            let above = self.events.range(model.cursor + 1..);
            let above = above.filter(|(offset, (event, _))| model.wants(**offset, event));
            assert_eq!(lag, above.count() as i64, "lag() of {name}");
            // A dead message holds back others for good.
            assert!(
                !drained || is_empty || model.blocks,
                "{name} is not drained"
            );
            // What is not for the group has to be passed over, and what is done has to be reported.
            let passed = self.events.range(model.cursor + 1..).next().is_none();
            let mut held = model.held.values();
            let reported = held.all(|held| held.claim.is_none() && held.lanes.is_empty());
            assert!(
                drained || !(is_empty && passed && reported),
                "{name} is drained"
            );
        }
    }

    /// Which finds by point look-ups what deliveries finds by joins.
    async fn compare_inspect(&self) {
        let unlike: Vec<(i64, String)> = self
            .rows_of(
                "SELECT coalesce(i.\"offset\", d.event_offset), concat_ws(' ', i, d)
                 FROM (SELECT e.\"offset\", i.* FROM vulkan.events e, vulkan.inspect(e.\"offset\") i) i
                 FULL JOIN vulkan.deliveries d
                     ON d.event_offset = i.\"offset\" AND d.consumer_group = i.consumer_group
                 WHERE (i.status, i.attempts, i.last_error, i.worker, i.lease_until) IS DISTINCT FROM
                       (d.status, d.attempts, d.last_error, d.worker, d.lease_until)",
            )
            .await;
        assert!(unlike.is_empty(), "inspect() differs: {unlike:?}");
    }
}

impl Model {
    fn is_any_disordered(&self) -> bool {
        self.entries.values().any(|entry| entry.late)
    }
}

impl Delivery {
    fn shown(&self, model: &Model) -> Shown {
        let status = match self.status.as_str() {
            "ready" => "ready",
            "processing" => "processing",
            "done" => return ("done", 0, None, None),
            "dead" => "dead",
            other => panic!("{other}"),
        };
        let late = |offset| model.entries.get(offset).is_none_or(|entry| entry.late);
        let due = self.due.filter(|_| !late(&self.event_offset));
        (status, self.attempts, self.worker.clone(), due)
    }
}

fn shown(model: &Model, offset: i64) -> Shown {
    let entry = &model.entries[&offset];
    let worker = match entry.state {
        State::Done => return ("done", 0, None, None),
        State::Processing(token) => Some(format!("w{}", model.held[&token].worker)),
        _ => None,
    };
    let ready = entry.state == State::Ready && !entry.late;
    let due = ready.then_some(entry.due_at <= model.clock);
    (status(entry.state), entry.attempts, worker, due)
}
