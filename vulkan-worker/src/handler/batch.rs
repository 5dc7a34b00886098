use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use vulkan_core::engine::Held;

use super::received::Received;
use super::tx::Tx;
use super::tx_slot::{TxError, TxSlot};
use super::{Delivery, HandlerError, Result};

/// The messages that a [`BatchHandler`](super::BatchHandler) handles at once.
///
/// In a test, [`Batch::of`] makes one.
pub struct Batch {
    pub(super) members: Vec<Arc<Member>>,
    tx: Arc<TxSlot>,
}

/// One message of a batch.
pub(super) struct Member {
    pub(super) delivery: Delivery,
    pub(super) failure: Mutex<Option<HandlerError>>,
}

impl Member {
    pub(super) fn fail(&self, error: Option<HandlerError>) -> Option<HandlerError> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *failure, error)
    }

    pub(super) fn has_failed(&self) -> bool {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.is_some()
    }
}

impl Batch {
    /// A batch of these deliveries. Its [`Tx`] begins on the client of the first.
    pub fn of(deliveries: impl IntoIterator<Item = Delivery>) -> Self {
        let deliveries: Vec<_> = deliveries.into_iter().collect();
        let tx = deliveries.first().map(|first| Arc::clone(&first.tx));
        Self::new(deliveries, tx.unwrap_or_default())
    }

    pub(crate) fn new(deliveries: Vec<Delivery>, tx: Arc<TxSlot>) -> Self {
        let members = deliveries.into_iter().map(|delivery| {
            Arc::new(Member {
                delivery,
                failure: Mutex::default(),
            })
        });
        Self {
            members: members.collect(),
            tx,
        }
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none. A worker never hands out an empty batch.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The deliveries, in the order of the log as far as that can be told.
    pub fn deliveries(&self) -> impl ExactSizeIterator<Item = &Delivery> {
        self.members.iter().map(|member| &member.delivery)
    }

    /// The messages with their payloads read as `T`s. Those whose payload is no `T` are left out: they have failed,
    /// and will be dead.
    pub fn received<T: for<'de> Deserialize<'de>>(&self) -> Vec<Received<T>> {
        let mut received = Vec::with_capacity(self.members.len());
        for member in &self.members {
            match member.delivery.decode() {
                Ok(payload) => received.push(Received::of_batch(payload, Arc::clone(member))),
                Err(error) => _ = member.fail(Some(error.into())),
            }
        }
        received
    }

    /// Begins the transaction that also marks the messages done, all that have not failed by themselves.
    ///
    /// # Errors
    ///
    /// [`TxError`]: it is the second one, or cannot begin.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn tx(&self) -> Result<Tx> {
        Ok(self.tx.begin().await?)
    }

    /// Commits the transaction, as the worker does after `Ok(())`: the messages that have not failed by themselves are
    /// marked done in it, and if there is none, it is rolled back. For tests, and workers of one's own.
    ///
    /// # Errors
    ///
    /// [`TxError`]: the [`Tx`] is still in use, a lease is lost, or the database does not commit.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it still runs to its end.
    pub async fn commit(&self) -> Result<(), TxError> {
        if self.members.iter().all(|member| member.has_failed()) {
            self.tx.roll_back().await;
            return Ok(());
        }
        self.tx.commit(self.not_failed()).await
    }

    /// Takes out why messages have failed by themselves, each with its place among the [`deliveries`](Self::deliveries).
    pub fn take_failures(&self) -> Vec<(usize, HandlerError)> {
        let members = self.members.iter().enumerate();
        members
            .filter_map(|(place, member)| Some((place, member.fail(None)?)))
            .collect()
    }

    fn not_failed(&self) -> Vec<Held> {
        let members = self.members.iter().filter(|member| !member.has_failed());
        members.filter_map(|member| member.delivery.held).collect()
    }

    pub(crate) async fn roll_back(&self) {
        self.tx.roll_back().await;
    }

    pub(crate) fn give_up(&self) {
        self.tx.give_up();
    }
}

/// Shows where the deliveries stand, without payloads and headers.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.deliveries()).finish()
    }
}
