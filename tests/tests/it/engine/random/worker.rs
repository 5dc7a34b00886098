//! Workers: claims held open, settled in part, late, twice, or not at all.

use std::collections::BTreeSet;

use super::clock;
use super::history::History;
use super::model::{Model, State};
use super::step::Outcome;
use crate::support::{Message, Settlement, Verdict};

pub(super) const WORKERS: usize = 3;

/// What one claim handed out, until it is settled for good.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    group: usize,
    messages: Vec<Message>,
}

/// What a settlement should answer, and what of it goes on.
#[derive(Default)]
struct Expected {
    verdicts: Vec<(Option<i64>, &'static str)>,
    left: Vec<Message>,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Progress => "progress",
            Self::Running => "running",
            Self::Retry(_) => "retry",
            Self::Snooze(_) => "snooze",
            Self::Release => "release",
            Self::Dead => "dead",
        }
    }

    /// In seconds.
    fn delay(self) -> i64 {
        match self {
            Self::Retry(spans @ 1..) | Self::Snooze(spans @ 1..) => clock::after(spans),
            _ => 0,
        }
    }
}

impl History {
    pub(super) async fn claim(&mut self, group: usize, worker: usize, at_most: i32) {
        let lso = self.lso().await;
        let model = &mut self.models[group];
        let messages = model.group.claim_as(&format!("w{worker}"), at_most).await;
        model.handed_out(worker, &messages);
        if messages.is_empty() {
            model.assert_drained(lso);
        } else {
            self.batches.push(Batch { group, messages });
        }
    }

    pub(super) async fn settle(
        &mut self,
        nth: usize,
        outcomes: &[Outcome],
        at: usize,
        again: bool,
    ) {
        if self.batches.is_empty() {
            return;
        }
        let nth = nth % self.batches.len();
        let batch = self.batches.swap_remove(nth);
        self.settle_batch(batch, outcomes, at, again).await;
    }

    async fn settle_batch(&mut self, batch: Batch, outcomes: &[Outcome], at: usize, again: bool) {
        let model = &mut self.models[batch.group];
        let mut settlement = Settlement::closing(&batch.messages);
        let mut expected = Expected::default();
        let claims: BTreeSet<i64> = batch
            .messages
            .iter()
            .filter(|m| m.claim_hi.is_some())
            .map(|m| m.token)
            .collect();
        for token in &claims {
            if !model.holds_claim(*token) {
                expected.verdicts.push((None, "stale"));
            }
        }
        let mut outcomes = outcomes.iter().copied().cycle();
        for message in batch.messages.iter().filter(|m| m.lane.is_none()) {
            let outcome = match outcomes.next().unwrap() {
                Outcome::Progress => Outcome::Done,
                outcome => outcome,
            };
            // Those that a claim implies need no item.
            let implied = message.claim_hi.is_some() && matches!(outcome, Outcome::Done);
            if !implied {
                settlement =
                    settlement.item_after(message, outcome.name(), Some(outcome.delay() as f64));
            }
            expect_message(model, message, outcome, implied, &mut expected);
        }
        for (key, run) in runs(&batch.messages) {
            let outcome = match outcomes.next().unwrap() {
                Outcome::Running => Outcome::Release,
                outcome => outcome,
            };
            // 255 stands for the end of any run.
            let nth = if at == 255 {
                run.len() - 1
            } else {
                at % run.len()
            };
            let whole = matches!(outcome, Outcome::Progress) && nth + 1 == run.len();
            let outcome = if whole { Outcome::Done } else { outcome };
            settlement =
                settlement.item_after(run[nth], outcome.name(), Some(outcome.delay() as f64));
            expect_lane(model, &key, &run, nth, outcome, &mut expected);
        }
        let verdicts = model.group.settle(&settlement).await;
        for token in claims {
            if let Some(held) = model.held.get_mut(&token) {
                held.claim = None;
            }
        }
        assert_verdicts(&verdicts, expected.verdicts);
        for message in &mut expected.left {
            message.claim_hi = None;
        }
        if !expected.left.is_empty() {
            self.batches.push(Batch {
                messages: expected.left,
                ..batch
            });
        } else if again {
            self.batches.push(batch);
        }
    }

    pub(super) async fn complete(&mut self, batch: usize, nth: usize, commit: bool) {
        if self.batches.is_empty() {
            return;
        }
        let batch = &self.batches[batch % self.batches.len()];
        let model = &mut self.models[batch.group];
        let mut message = &batch.messages[nth % batch.messages.len()];
        // The runner of a lane goes from message to message.
        if message.lane.is_some() {
            let mut run = batch.messages.iter().filter(|m| m.lane == message.lane);
            let first = run.find(|m| model.in_hand(m.offset, m.token));
            message = first.unwrap_or(message);
        }
        let mut transaction = self.db.pool.begin().await.unwrap();
        let done = sqlx::query("SELECT vulkan.complete($1, $2, $3, $4)")
            .bind(model.group.id)
            .bind(message.offset)
            .bind(message.token)
            .bind(message.lane)
            .execute(&mut *transaction)
            .await;
        let held = model.in_hand(message.offset, message.token);
        assert_eq!(done.is_ok(), held, "{message:?}: {done:?}");
        if let Err(error) = done {
            let code = error.as_database_error().unwrap().code().unwrap();
            assert_eq!(code, "VK007");
            return;
        }
        if !commit {
            transaction.rollback().await.unwrap();
            return;
        }
        transaction.commit().await.unwrap();
        let entry = model.entries.get_mut(&message.offset).unwrap();
        entry.state = State::Done;
        entry.storied = true;
        entry.asked = false;
        entry.lease_until = None;
        entry.completed = Some(message.token);
    }

    pub(super) async fn extend(&mut self, batch: usize) {
        if self.batches.is_empty() {
            return;
        }
        let batch = &self.batches[batch % self.batches.len()];
        let model = &mut self.models[batch.group];
        let messages = &batch.messages;
        let mut expected: Vec<i64> = messages
            .iter()
            .filter(|m| match &m.partition_key {
                Some(key) => !model.holds_lane(m.token, key),
                None => {
                    !model.in_hand(m.offset, m.token)
                        && !model.holds_claim(m.token)
                        && !model.has_completed(m.offset, m.token)
                }
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
        assert_eq!(lost, expected, "lost leases of {messages:?}");
        model.extend(messages);
    }

    /// A worker's leases run out, all of them.
    pub(super) async fn die(&mut self, worker: usize) {
        for table in ["claims", "exceptions", "lanes"] {
            self.operate(format!(
                "UPDATE vulkan.{table} SET lease_until = clock_timestamp() - interval '1 second'
                 WHERE worker = 'w{worker}' AND lease_until IS NOT NULL"
            ))
            .await;
        }
        self.operate("SELECT vulkan.reap()".into()).await;
        for model in &mut self.models {
            model.expire(worker);
            model.reap();
        }
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
            self.settle_batch(batch, &[Outcome::Done], 255, false).await;
        }
    }
}

/// The runs of a batch, by key.
fn runs(messages: &[Message]) -> Vec<(String, Vec<&Message>)> {
    let keys = messages.iter().filter_map(|m| m.partition_key.as_ref());
    let keys: BTreeSet<&String> = keys.collect();
    let of = |key: &String| {
        let run = messages.iter();
        run.filter(|m| m.partition_key.as_ref() == Some(key))
            .collect()
    };
    keys.into_iter().map(|key| (key.clone(), of(key))).collect()
}

fn expect_message(
    model: &mut Model,
    message: &Message,
    outcome: Outcome,
    implied: bool,
    expected: &mut Expected,
) {
    let (offset, token) = (message.offset, message.token);
    if !model.in_hand(offset, token) {
        // Who has completed a message has not lost it.
        let said = model.has_completed(offset, token)
            && matches!(outcome, Outcome::Done | Outcome::Running);
        if !implied && !said {
            expected.verdicts.push((Some(offset), "stale"));
        }
        return;
    }
    if matches!(outcome, Outcome::Running) {
        let until = model.clock + model.lease;
        model.entries.get_mut(&offset).unwrap().lease_until = Some(until);
        expected.verdicts.push((Some(offset), "running"));
        expected.left.push(message.clone());
        return;
    }
    let due_at = model.clock + outcome.delay();
    let verdict = model.apply(offset, outcome.name(), due_at);
    if verdict != "done" {
        expected.verdicts.push((Some(offset), verdict));
    }
}

fn expect_lane(
    model: &mut Model,
    key: &str,
    run: &[&Message],
    nth: usize,
    outcome: Outcome,
    expected: &mut Expected,
) {
    let message = run[nth];
    let (offset, token) = (message.offset, message.token);
    let succeeded = matches!(outcome, Outcome::Done | Outcome::Progress);
    if !model.holds_lane(token, key) {
        expected.verdicts.push((Some(offset), "stale"));
        return;
    }
    for before in &run[..nth] {
        if model.in_hand(before.offset, before.token) {
            model.apply(before.offset, "done", model.clock);
        }
    }
    if model.in_hand(offset, token) {
        let due_at = model.clock + outcome.delay();
        let verdict = model.apply(offset, outcome.name(), due_at);
        if verdict != "done" {
            expected.verdicts.push((Some(offset), verdict));
        }
    } else if !succeeded {
        expected.verdicts.push((Some(offset), "stale"));
    }
    if matches!(outcome, Outcome::Progress) {
        let until = model.clock + model.lease;
        model
            .held
            .get_mut(&token)
            .unwrap()
            .lanes
            .get_mut(key)
            .unwrap()
            .lease_until = until;
        expected
            .left
            .extend(run[nth + 1..].iter().map(|m| (*m).clone()));
    } else {
        model.give_lane_back(token, key);
    }
}

fn assert_verdicts(verdicts: &[Verdict], mut expected: Vec<(Option<i64>, &'static str)>) {
    let mut found: Vec<_> = verdicts
        .iter()
        .map(|v| (v.offset, v.verdict.as_str()))
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "verdicts");
}
