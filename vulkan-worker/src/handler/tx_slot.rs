use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vulkan_core::engine::{Held, WorkTransaction};
use vulkan_core::{Client, Error};

use super::tx::Tx;

/// Why a handler's [`Tx`] could not begin, or not commit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TxError {
    /// A delivery made in a test knows no database.
    #[error(
        "there is no database to begin a transaction on; give the delivery one, with DeliveryBuilder::client"
    )]
    NoClient,
    /// The handler has its transaction already.
    #[error("a handler has one transaction, and this one has begun it already; take one Tx")]
    Second,
    /// It could not begin.
    #[error("the transaction of the handler could not begin")]
    Begin(#[source] Error),
    /// The handler returned while its `Tx` lived on elsewhere.
    #[error(
        "the handler returned while its Tx is still in use, in a task of its own perhaps; nothing is committed. \
         Let go of the Tx before you return"
    )]
    InUse,
    /// The lease was lost: somebody else handles the message, or has.
    #[error("the lease was lost before the transaction could commit; it is rolled back")]
    Stale(#[source] Error),
    /// The database refused to commit, or did not answer.
    #[error("the transaction of the handler could not commit")]
    Commit(#[source] Error),
}

/// Where the transactions of a worker's handlers begin.
#[derive(Debug, Clone)]
pub(crate) struct TxSource {
    client: Client,
    /// One for each connection that handlers may keep at once.
    permits: Option<Arc<Semaphore>>,
}

impl TxSource {
    /// For a test, which sees to its connections itself.
    pub(crate) fn unlimited(client: Client) -> Self {
        Self {
            client,
            permits: None,
        }
    }

    /// For a worker of so many groups: leaves it the connections that it needs for its own calls, two a group and
    /// four for all, but no more than half of the pool. Without them no lease would be extended.
    pub(crate) fn of_worker(client: Client, groups: usize) -> Self {
        let all = usize::try_from(client.pool().options().get_max_connections()).unwrap_or(1);
        let own = (2 * groups + 4).min(all / 2);
        Self {
            client,
            permits: Some(Arc::new(Semaphore::new((all - own).max(1)))),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    async fn begin(&self) -> Result<Lent, TxError> {
        let permit = match &self.permits {
            // Never closed.
            Some(permits) => Arc::clone(permits).acquire_owned().await.ok(),
            None => None,
        };
        let work = self.client.begin_work().await.map_err(TxError::Begin)?;
        Ok(Lent {
            work,
            _permit: permit,
        })
    }
}

/// A transaction under way, and the right to its connection.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) work: WorkTransaction,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Where a handler's transaction is.
#[derive(Debug, Default)]
enum Whereabouts {
    /// Nobody has asked for it.
    #[default]
    Unused,
    /// The handler has it.
    Out,
    /// The handler has given it back.
    Here(Lent),
    /// It is ended, or given up.
    Over,
}

/// Where the transaction is, behind a lock: a [`Tx`] and the delivery it is of share it.
#[derive(Debug, Default)]
struct Place(Mutex<Whereabouts>);

impl Place {
    fn lock(&self) -> MutexGuard<'_, Whereabouts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, by: Whereabouts) -> Whereabouts {
        std::mem::replace(&mut *self.lock(), by)
    }

    fn not_begun(&self) {
        let mut place = self.lock();
        if matches!(*place, Whereabouts::Out) {
            *place = Whereabouts::Unused;
        }
    }
}

/// A transaction that is about to begin. If it fails to, or is not waited for, there was none.
#[derive(Debug)]
struct Begins<'a>(Option<&'a Place>);

impl Drop for Begins<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.not_begun();
        }
    }
}

/// The worker's side of a handler's transaction.
#[derive(Debug, Default)]
pub(crate) struct TxSlot {
    source: Option<Arc<TxSource>>,
    place: Place,
}

impl TxSlot {
    pub(crate) fn new(source: &Arc<TxSource>) -> Self {
        Self {
            source: Some(Arc::clone(source)),
            place: Place::default(),
        }
    }

    /// Begins the one transaction there is.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<Tx, TxError> {
        let source = self.source.as_ref().ok_or(TxError::NoClient)?;
        {
            let mut place = self.place.lock();
            if !matches!(*place, Whereabouts::Unused) {
                return Err(TxError::Second);
            }
            *place = Whereabouts::Out;
        }
        let mut begins = Begins(Some(&self.place));
        let lent = source.begin().await?;
        begins.0 = None;
        Ok(Tx::new(lent, Arc::clone(self)))
    }

    pub(super) fn give_back(&self, lent: Lent) {
        let mut place = self.place.lock();
        if matches!(*place, Whereabouts::Out) {
            *place = Whereabouts::Here(lent);
        }
        // Else nobody will come for it: dropped, it is rolled back.
    }

    /// Marks these messages done in the transaction, if there is one, and commits it.
    pub(crate) async fn commit(&self, held: impl IntoIterator<Item = Held>) -> Result<(), TxError> {
        match self.place.replace(Whereabouts::Over) {
            Whereabouts::Unused | Whereabouts::Over => Ok(()),
            Whereabouts::Out => Err(TxError::InUse),
            Whereabouts::Here(lent) => {
                let commit = Box::pin(lent.work.commit(held.into_iter().collect()));
                commit.await.map_err(|error| match error {
                    Error::Stale(_) => TxError::Stale(error),
                    error => TxError::Commit(error),
                })
            }
        }
    }

    /// Gives the transaction up, if there is one, wherever it is: nothing of it commits from here on.
    pub(crate) fn give_up(&self) {
        self.place.replace(Whereabouts::Over);
    }

    /// Rolls the transaction back, if there is one.
    pub(crate) async fn roll_back(&self) {
        if let Whereabouts::Here(lent) = self.place.replace(Whereabouts::Over)
            && let Err(error) = lent.work.roll_back().await
        {
            tracing::debug!(%error, "a transaction could not be rolled back; its connection is closed");
        }
    }
}
