//! Publishers: transactions that stay open for some steps, commit in any order, or roll back.

use std::collections::HashMap;

use sqlx::{Postgres, Transaction};

use super::clock;
use super::event::Event;
use super::history::History;

/// How long a dedup id is remembered: vulkan.meta.dedup_window.
const DEDUP_WINDOW: i64 = 3600;

/// How many transactions are open at once.
const MOST: usize = 3;

/// An open transaction, and what it will have done if it commits.
pub(super) struct Publisher {
    transaction: Transaction<'static, Postgres>,
    /// From the beginning to the newest savepoint.
    levels: Vec<Level>,
}

#[derive(Default)]
struct Level {
    /// What it has announced: it may write above this.
    floor: Option<i64>,
    events: Vec<(i64, Event, i64)>,
    dedup: Vec<(u8, i64)>,
}

/// The dedup ids that are known: the offset each one got, and how long it is remembered.
#[derive(Default)]
pub(super) struct Dedup(HashMap<u8, (i64, i64)>);

impl Publisher {
    pub(super) fn floor(&self) -> Option<i64> {
        self.levels.iter().find_map(|level| level.floor)
    }

    fn uses(&self, id: u8) -> bool {
        let mut ids = self.levels.iter().flat_map(|level| &level.dedup);
        ids.any(|(other, _)| *other == id)
    }

    /// Time moves for what is stored, and none of this is yet.
    pub(super) fn outlast(&mut self, by: i64) {
        let levels = self.levels.iter_mut();
        levels
            .flat_map(|level| &mut level.events)
            .for_each(|(_, _, due_at)| *due_at += by);
    }
}

impl History {
    pub(super) async fn begin(&mut self) {
        if self.open.len() < MOST {
            self.open.push(Publisher {
                transaction: self.db.pool.begin().await.unwrap(),
                levels: vec![Level::default()],
            });
        }
    }

    pub(super) async fn publish(&mut self, within: Option<u8>, dedup: Option<u8>, event: Event) {
        let due_at = self.clock + event.delay.map_or(0, clock::after);
        // Who publishes an id that an open transaction publishes waits for it.
        let dedup = dedup.filter(|id| !self.open.iter().any(|open| open.uses(*id)));
        if let Some(nth) = within.filter(|_| !self.open.is_empty()) {
            let nth = usize::from(nth) % self.open.len();
            let newest = self.newest_offset().await;
            let publisher = &mut self.open[nth];
            let mut publish = event.publish();
            // An id that is known is locked by who publishes it again.
            let dedup = dedup.filter(|id| !self.dedup.0.contains_key(id));
            if let Some(id) = dedup {
                publish = publish.dedup(&id.to_string());
            }
            let offset = publish.send(&mut *publisher.transaction).await;
            let announced = publisher.floor().is_some();
            let level = publisher.levels.last_mut().unwrap();
            if !announced {
                level.floor = Some(newest);
            }
            level.dedup.extend(dedup.map(|id| (id, offset)));
            level.events.push((offset, event, due_at));
            return;
        }
        let mut publish = event.publish();
        if let Some(id) = dedup {
            publish = publish.dedup(&id.to_string());
        }
        let offset = publish.send(&self.db.pool).await;
        let known = dedup.and_then(|id| self.dedup.0.get(&id));
        if let Some((known, _)) = known.filter(|(_, until)| *until > self.clock) {
            assert_eq!(offset, *known, "a duplicate");
            return;
        }
        if let Some(id) = dedup {
            self.dedup.0.insert(id, (offset, self.clock + DEDUP_WINDOW));
        }
        self.commit(offset, event, due_at);
    }

    pub(super) async fn load(&mut self, events: Vec<Event>) {
        let offsets: Vec<i64> = sqlx::query_scalar(
            "INSERT INTO vulkan.events_1 (kind, payload, partition_key, headers, deliver_at)
             SELECT u.kind, '{}', u.key, u.headers, clock_timestamp() + make_interval(secs => u.delay)
             FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::float8[]) WITH ORDINALITY AS u(kind, key, headers, delay, n)
             ORDER BY n RETURNING \"offset\"",
        )
        .bind(events.iter().map(Event::kind).collect::<Vec<_>>())
        .bind(events.iter().map(Event::key).collect::<Vec<_>>())
        .bind(events.iter().map(Event::headers).collect::<Vec<_>>())
        .bind(events.iter().map(Event::seconds).collect::<Vec<_>>())
        .fetch_all(&self.db.pool)
        .await
        .unwrap();
        assert!(offsets.is_sorted());
        for (offset, event) in offsets.into_iter().zip(events) {
            let due_at = self.clock + event.delay.map_or(0, clock::after);
            self.commit(offset, event, due_at);
        }
    }

    pub(super) async fn publish_many(&mut self, within: Option<u8>, events: Vec<Event>) {
        let newest = self.newest_offset().await;
        let batch = sqlx::query_scalar(
            "SELECT vulkan.publish_many('orders', $1, array_fill('{}'::jsonb, ARRAY[cardinality($1)]), $2, $3,
                 ARRAY(SELECT clock_timestamp() + make_interval(secs => u.delay) FROM unnest($4::float8[]) WITH ORDINALITY AS u(delay, n) ORDER BY n))",
        )
        .bind(events.iter().map(Event::kind).collect::<Vec<_>>())
        .bind(events.iter().map(Event::key).collect::<Vec<_>>())
        .bind(events.iter().map(Event::headers).collect::<Vec<_>>())
        .bind(events.iter().map(Event::seconds).collect::<Vec<_>>());
        let clock = self.clock;
        let publisher = within.and_then(|within| nth(&mut self.open, within));
        let due_at = |event: &Event| clock + event.delay.map_or(0, clock::after);
        let Some(publisher) = publisher else {
            let offsets: Vec<i64> = batch.fetch_all(&self.db.pool).await.unwrap();
            assert_eq!(offsets.len(), events.len());
            for (offset, event) in offsets.into_iter().zip(events) {
                let due_at = due_at(&event);
                self.commit(offset, event, due_at);
            }
            return;
        };
        let offsets: Vec<i64> = batch.fetch_all(&mut *publisher.transaction).await.unwrap();
        assert_eq!(offsets.len(), events.len());
        let announced = publisher.floor().is_some();
        let level = publisher.levels.last_mut().unwrap();
        if !announced {
            level.floor = Some(newest);
        }
        for (offset, event) in offsets.into_iter().zip(events) {
            let due_at = due_at(&event);
            level.events.push((offset, event, due_at));
        }
    }

    pub(super) async fn release(&mut self, within: u8) {
        let Some(publisher) = nth(&mut self.open, within) else {
            return;
        };
        let Some(newest) = publisher.levels.pop() else {
            return;
        };
        let Some(below) = publisher.levels.last_mut() else {
            publisher.levels.push(newest);
            return;
        };
        below.floor = below.floor.or(newest.floor);
        below.events.extend(newest.events);
        below.dedup.extend(newest.dedup);
        let sql = format!("RELEASE SAVEPOINT s{}", publisher.levels.len());
        run(&mut publisher.transaction, sql).await;
    }

    pub(super) async fn savepoint(&mut self, within: u8) {
        let Some(publisher) = nth(&mut self.open, within) else {
            return;
        };
        if publisher.levels.len() < 4 {
            let sql = format!("SAVEPOINT s{}", publisher.levels.len());
            run(&mut publisher.transaction, sql).await;
            publisher.levels.push(Level::default());
        }
    }

    pub(super) async fn roll_back_to(&mut self, within: u8) {
        let Some(publisher) = nth(&mut self.open, within) else {
            return;
        };
        if publisher.levels.len() > 1 {
            publisher.levels.pop();
            let sql = format!("ROLLBACK TO SAVEPOINT s{0}", publisher.levels.len());
            run(&mut publisher.transaction, sql).await;
            let sql = format!("RELEASE SAVEPOINT s{0}", publisher.levels.len());
            run(&mut publisher.transaction, sql).await;
        }
    }

    pub(super) async fn end(&mut self, within: u8, commit: bool) {
        if self.open.is_empty() {
            return;
        }
        let nth = usize::from(within) % self.open.len();
        let publisher = self.open.swap_remove(nth);
        if !commit {
            publisher.transaction.rollback().await.unwrap();
            return;
        }
        publisher.transaction.commit().await.unwrap();
        for level in publisher.levels {
            for (id, offset) in level.dedup {
                self.dedup.0.insert(id, (offset, self.clock + DEDUP_WINDOW));
            }
            for (offset, event, due_at) in level.events {
                self.commit(offset, event, due_at);
            }
        }
    }

    fn commit(&mut self, offset: i64, event: Event, due_at: i64) {
        for model in &mut self.models {
            model.arrive(offset, &event, due_at);
        }
        self.events.insert(offset, (event, due_at));
    }
}

fn nth(open: &mut [Publisher], nth: u8) -> Option<&mut Publisher> {
    let many = open.len().max(1);
    open.get_mut(usize::from(nth) % many)
}

async fn run(transaction: &mut Transaction<'static, Postgres>, sql: String) {
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&mut **transaction)
        .await
        .unwrap();
}
