use vulkan_core::engine::{Claimed, Outcome, Settlement, Verdict};
use vulkan_core::telemetry::{Claiming, Processing, Settling, Shown, Worked};
use vulkan_core::{Client, Error};

use crate::handler::{Batch, Delivery};
use crate::runtime::events::Interruption;
use crate::runtime::execute::{PANICKED, TIMED_OUT};

/// What the spans of a group say of it.
pub(in crate::runtime) struct Traces {
    client: Client,
    worker: String,
    stream: String,
    group: String,
}

impl Traces {
    pub(in crate::runtime) fn new(
        client: &Client,
        worker: &str,
        stream: &str,
        group: &str,
    ) -> Self {
        Self {
            client: client.clone(),
            worker: worker.to_owned(),
            stream: stream.to_owned(),
            group: group.to_owned(),
        }
    }

    fn worked(&self) -> Worked<'_> {
        Worked {
            client: &self.client,
            worker: &self.worker,
            stream: &self.stream,
            group: &self.group,
        }
    }

    pub(in crate::runtime) fn claiming(&self) -> Claim {
        Claim(Claiming::begin(self.worked()))
    }

    pub(in crate::runtime) fn settling(&self) -> Settle {
        Settle(Settling::begin(self.worked()))
    }

    pub(in crate::runtime) fn processing(&self, delivery: &Delivery, again: bool) -> Process {
        let shown = Shown {
            offset: delivery.offset,
            attempt: delivery.attempt,
            again,
            key: delivery.key.as_deref(),
            size: delivery.payload.get().len(),
            headers: &delivery.headers,
        };
        Process(Processing::one(self.worked(), shown))
    }

    pub(in crate::runtime) fn processing_batch(&self, batch: &Batch) -> Process {
        let headers = batch.deliveries().map(|delivery| &delivery.headers);
        Process(Processing::batch(self.worked(), batch.len(), headers))
    }
}

pub(in crate::runtime) struct Claim(Claiming);

impl Claim {
    pub(in crate::runtime) fn is_written(&self) -> bool {
        self.0.is_written()
    }

    pub(in crate::runtime) fn claimed(self, claimed: &Result<Vec<Claimed>, Error>) {
        self.0.end(claimed);
    }
}

pub(in crate::runtime) struct Settle(Settling);

impl Settle {
    pub(in crate::runtime) fn settled(
        self,
        settlement: &Settlement,
        done: usize,
        verdicts: &Result<Vec<Verdict>, Error>,
    ) {
        self.0.end(settlement, done, verdicts);
    }
}

pub(in crate::runtime) struct Process(Processing);

impl Process {
    pub(in crate::runtime) async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.0.around(call).await
    }

    /// Ends it with the first thing that went wrong, if any did.
    pub(in crate::runtime) fn processed<'o>(
        self,
        outcomes: impl IntoIterator<Item = (&'o Outcome, Interruption)>,
    ) {
        let error = outcomes
            .into_iter()
            .find_map(|(outcome, why)| error_type(outcome, why));
        self.0.end(error);
    }
}

/// A word for what went wrong. The text of an error stays out of traces: it can hold anything.
fn error_type(outcome: &Outcome, why: Interruption) -> Option<&'static str> {
    match outcome {
        Outcome::Retry { error, .. } | Outcome::Dead { error } => Some(match error {
            error if error.starts_with(TIMED_OUT) => "timeout",
            error if error.starts_with(PANICKED) => "panic",
            _ => "_OTHER",
        }),
        Outcome::Release => Some(match why {
            Interruption::LeaseLost => "lease_lost",
            Interruption::Cancelled => "cancelled",
            _ => "interrupted",
        }),
        Outcome::Done | Outcome::Progress | Outcome::Running | Outcome::Snooze { .. } => None,
    }
}
