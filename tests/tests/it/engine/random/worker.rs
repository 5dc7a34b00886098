use std::collections::HashSet;

use rand::RngExt;
use rand::seq::IndexedRandom;

use super::history::History;
use super::model::Held;
use crate::support::{Message, Settlement};

pub(super) const WORKERS: usize = 3;

/// What one claim handed out, until it is settled for good.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    group: usize,
    worker: usize,
    messages: Vec<Message>,
}

impl History {
    pub(super) async fn claim(&mut self, group: usize, worker: usize, at_most: i32) {
        let messages = self.models[group]
            .group
            .claim_as(&format!("w{worker}"), at_most)
            .await;
        self.log.push(format!(
            "{} claimed by {worker}: {:?}",
            self.models[group].group.name,
            messages
                .iter()
                .map(|m| (m.offset, m.token))
                .collect::<Vec<_>>()
        ));
        self.models[group].handed_out(worker, &messages);
        if !messages.is_empty() {
            self.batches.push(Batch {
                group,
                worker,
                messages,
            });
        }
    }

    /// Settles some batch, late or in time; what runs on becomes a batch again.
    pub(super) async fn settle(&mut self) {
        if self.batches.is_empty() {
            return;
        }
        let nth = self.rng.random_range(0..self.batches.len());
        let batch = self.batches.swap_remove(nth);
        self.settle_batch(batch, false).await;
    }

    async fn settle_batch(&mut self, batch: Batch, all_done: bool) {
        let model = &mut self.models[batch.group];
        let mut settlement = Settlement::closing(&batch.messages);
        let mut expected = Vec::new();
        let mut left = Vec::new();
        let claims: HashSet<i64> = batch
            .messages
            .iter()
            .filter(|m| m.claim_hi.is_some())
            .map(|m| m.token)
            .collect();
        for token in &claims {
            if !model.holds_claim(*token) {
                expected.push((None, "stale"));
            }
        }
        for message in batch.messages.iter().filter(|m| m.lane.is_none()) {
            let outcomes = [
                "done", "done", "done", "retry", "dead", "snooze", "release", "running",
            ];
            let outcome = if all_done {
                "done"
            } else {
                outcomes.choose(&mut self.rng).unwrap()
            };
            let due = self.rng.random();
            let in_hand = model.in_hand(message.offset, message.token);
            let implied = message.claim_hi.is_some() && outcome == "done";
            if !implied {
                let delay = if due { 0.0 } else { 86_400.0 };
                settlement = settlement.item_after(message, outcome, Some(delay));
            }
            if !in_hand {
                if !implied {
                    expected.push((Some(message.offset), "stale"));
                }
            } else if outcome == "running" {
                expected.push((Some(message.offset), "running"));
                left.push(message.clone());
            } else if model.apply(message.offset, outcome, due) != "done" {
                let state = model.entries[&message.offset].state;
                let dead = state == super::model::State::Dead;
                expected.push((Some(message.offset), if dead { "dead" } else { "ready" }));
            }
        }
        let mut lanes: Vec<&String> = batch
            .messages
            .iter()
            .filter_map(|m| m.partition_key.as_ref())
            .collect();
        lanes.sort_unstable();
        lanes.dedup();
        for key in lanes {
            let run: Vec<&Message> = batch
                .messages
                .iter()
                .filter(|m| m.partition_key.as_ref() == Some(key))
                .collect();
            let outcomes = [
                "done", "done", "progress", "retry", "dead", "snooze", "release",
            ];
            let outcome = if all_done {
                &"done"
            } else {
                outcomes.choose(&mut self.rng).unwrap()
            };
            let at = if all_done {
                run.len() - 1
            } else {
                self.rng.random_range(0..run.len())
            };
            let whole = *outcome == "progress" && at + 1 == run.len();
            let outcome = if whole { "done" } else { outcome };
            let due = self.rng.random();
            let delay = if due { 0.0 } else { 86_400.0 };
            let message = run[at];
            settlement = settlement.item_after(message, outcome, Some(delay));
            if !model.holds_lane(message.token, key) {
                expected.push((Some(message.offset), "stale"));
                continue;
            }
            for before in &run[..at] {
                if model.in_hand(before.offset, before.token) {
                    model.apply(before.offset, "done", true);
                }
            }
            if model.in_hand(message.offset, message.token) {
                let verdict = model.apply(message.offset, outcome, due);
                if verdict != "done" {
                    expected.push((Some(message.offset), verdict));
                }
            } else if !matches!(outcome, "done" | "progress") {
                expected.push((Some(message.offset), "stale"));
            }
            if outcome == "progress" {
                left.extend(run[at + 1..].iter().map(|m| (*m).clone()));
            } else {
                model.give_lane_back(message.token, key);
            }
        }
        let verdicts = model.group.settle(&settlement).await;
        self.log
            .push(format!("{} settled: {settlement:?}", model.group.name));
        for token in claims {
            if let Some(held) = model.held.get_mut(&token) {
                held.claim_hi = None;
            }
        }
        let mut found: Vec<_> = verdicts
            .iter()
            .map(|v| (v.offset, v.verdict.as_str()))
            .collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(
            found,
            expected,
            "{:#?}",
            &self.log[self.log.len().saturating_sub(25)..]
        );
        for message in &mut left {
            let verdict = verdicts
                .iter()
                .find(|v| v.offset == Some(message.offset) && v.verdict == "running");
            message.claim_hi = None;
            if verdict.is_some() {
                model.held.entry(message.token).or_insert_with(|| Held {
                    worker: batch.worker,
                    claim_hi: None,
                    lanes: Default::default(),
                });
            }
        }
        if !left.is_empty() {
            self.batches.push(Batch {
                messages: left,
                ..batch
            });
        } else if self.rng.random_bool(0.2) && !all_done {
            // A zombie, which settles the same once more.
            self.batches.push(batch);
        }
    }

    /// A worker's leases run out; one of its batches may be extended in time.
    pub(super) async fn lose_leases(&mut self, worker: usize) {
        for table in ["claims", "exceptions", "lanes"] {
            self.operate(format!(
                "UPDATE vulkan.{table} SET lease_until = clock_timestamp() - interval '1 second'
                 WHERE worker = 'w{worker}' AND lease_until IS NOT NULL"
            ))
            .await;
        }
        let mine: Vec<Batch> = self
            .batches
            .iter()
            .filter(|b| b.worker == worker)
            .cloned()
            .collect();
        let extended = mine.choose(&mut self.rng).filter(|_| worker != 0);
        if let Some(batch) = extended {
            self.extend(batch).await;
        }
        self.operate("SELECT vulkan.reap()".into()).await;
        for (group, model) in self.models.iter_mut().enumerate() {
            let kept = extended.filter(|batch| batch.group == group);
            let kept = kept.iter().flat_map(|batch| &batch.messages);
            let kept: Vec<_> = kept.map(|m| (m.token, m.partition_key.clone())).collect();
            model.reap(worker, &kept);
        }
    }

    async fn extend(&mut self, batch: &Batch) {
        let model = &self.models[batch.group];
        let messages = &batch.messages;
        let mut expected: Vec<i64> = messages
            .iter()
            .filter(|m| match &m.partition_key {
                Some(key) => !model.holds_lane(m.token, key),
                None => !model.in_hand(m.offset, m.token) && !model.holds_claim(m.token),
            })
            .map(|m| m.offset)
            .collect();
        expected.sort_unstable();
        let lost: Vec<i64> =
            sqlx::query_scalar("SELECT event_offset FROM vulkan.extend($1, $2, $3, $4) ORDER BY 1")
                .bind(vec![model.group.id; messages.len()])
                .bind(messages.iter().map(|m| m.offset).collect::<Vec<_>>())
                .bind(messages.iter().map(|m| m.token).collect::<Vec<_>>())
                .bind(messages.iter().map(|m| m.lane).collect::<Vec<_>>())
                .fetch_all(&self.db.pool)
                .await
                .unwrap();
        self.log.push(format!("extended {messages:?}"));
        assert_eq!(lost, expected, "{:#?}", self.tail());
    }

    /// Takes and finishes all there is for a group.
    pub(super) async fn drain(&mut self, group: usize) {
        loop {
            let before = self.batches.len();
            self.claim(group, 0, 50).await;
            if self.batches.len() == before {
                return;
            }
            let batch = self.batches.pop().unwrap();
            self.settle_batch(batch, true).await;
        }
    }
}
