use std::sync::Arc;
use std::time::Instant;

use vulkan_core::engine::Outcome;

use super::{Crew, lane_step};
use crate::handler::{Batch, Cancellation, TxSlot};
use crate::layer::HandlerCall;
use crate::runtime::assigned::Assigned;
use crate::runtime::events::{Attempt, WorkerEvent};
use crate::runtime::execute::{BatchStops, execute_batch, not_begun};
use crate::runtime::group::Group;
use crate::runtime::ledger::{Source, Taken};
use crate::runtime::watch::Watched;

impl<S: Send + Sync + 'static> Crew<S> {
    /// Some messages at once, of each key the first of its run.
    pub(super) async fn batch(
        &self,
        group: &Arc<Group<S>>,
        handler: usize,
        taken: Vec<Taken>,
        watched: &Watched<'_>,
    ) {
        let assigned = &group.handlers[handler];
        let _permit = assigned.permit().await;
        // While they waited for their turn.
        let (recalled, mut taken): (Vec<_>, Vec<_>) = taken
            .into_iter()
            .partition(|Taken { recall, .. }| recall.is_cancelled() || recall.is_gone());
        for taken in recalled {
            self.not_begun(group, assigned, taken);
        }
        if taken.is_empty() {
            return;
        }
        // Payloads are read in the order of the log, as far as runs of keys allow.
        taken.sort_unstable_by_key(|taken| taken.unit.first.offset);
        let tx = Arc::new(TxSlot::new(&self.tx));
        let stops = BatchStops {
            recalls: taken.iter().map(|taken| taken.recall.clone()).collect(),
            ending: &self.ending,
            notice: self.notice,
            watched,
        };
        let (mut deliveries, mut places) = (Vec::new(), Vec::new());
        for Taken { unit, run, .. } in taken {
            let (offset, token) = (unit.first.offset, unit.first.token);
            places.push((offset, token, unit.source, run, unit.rest, unit._solo));
            let cancellation = Cancellation::under(&self.leaving);
            let tx = Arc::clone(&tx);
            deliveries.push(group.delivery(assigned, unit.first, cancellation, &self.tx, tx));
        }
        let batch = Arc::new(Batch::new(deliveries, tx));
        for delivery in batch.deliveries() {
            let attempt = Attempt::of(&assigned.name, delivery);
            group.listeners.tell(&WorkerEvent::Begun { attempt });
        }
        let begun = Instant::now();
        // Within the future, so that a panic before the first await is caught, too.
        let call = async {
            match &assigned.layered {
                None => assigned.handler.call_batch(&batch, &self.state).await,
                Some(layered) => {
                    let name = Arc::clone(&assigned.name);
                    let call = HandlerCall::batch(name, Arc::clone(&batch));
                    layered.answer(call).await
                }
            }
        };
        let span = group.traces.processing_batch(&batch);
        let work = execute_batch(assigned, &batch, call, &stops, &group.listeners);
        let outcomes = span.around(work).await;
        span.processed(outcomes.iter().map(|(outcome, why)| (outcome, *why)));
        let took = begun.elapsed();

        let mut go_on = Vec::new();
        let ends = batch.deliveries().zip(outcomes).zip(places);
        for ((delivery, (outcome, why)), (offset, token, source, run, mut rest, _solo)) in ends {
            let attempt = Attempt::of(&assigned.name, delivery);
            group.ended(attempt, token, &outcome, why, took);
            if let Source::Lane { lane, token } = source {
                let next = lane_step(group, (lane, token), offset, outcome, &mut rest);
                go_on.extend(next.map(|next| (next, rest)));
            } else if let Some(run) = run {
                group.ledger.end(run, outcome);
            }
        }
        // Once all have ended: it may have to wait for the database.
        for (next, rest) in go_on {
            self.go_on(group, next, rest).await;
        }
    }

    /// Ends a message that was cancelled before it began, which the database makes dead, or one that is gone.
    fn not_begun(&self, group: &Arc<Group<S>>, handler: &Assigned<S>, taken: Taken) {
        let Taken { unit, run, recall } = taken;
        let outcome = if recall.is_gone() {
            Outcome::Release
        } else {
            let attempt = Attempt {
                handler: &handler.name,
                ..Attempt::unhandled(
                    &group.stream,
                    &group.name,
                    group.max_attempts(),
                    &unit.first,
                )
            };
            group.failures.note(&attempt, unit.first.token);
            not_begun()
        };
        match (unit.source, run) {
            (Source::Lane { lane, token }, _) => {
                let mut rest = unit.rest;
                lane_step(group, (lane, token), unit.first.offset, outcome, &mut rest);
            }
            (_, Some(run)) => group.ledger.end(run, outcome),
            (_, None) => {}
        }
    }
}
