use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// What is not used for so long goes back to its pool.
const IDLE: Duration = Duration::from_millis(100);
/// And so does what was kept for so long: only there is it seen how old it is.
const KEPT: Duration = Duration::from_secs(30);

/// The connection that the engine's calls used last, kept out of its pool for a moment.
///
/// A pool hands out what has been idle longest, so that calls go round all its connections, and the server's processes
/// take turns with cold caches: a claim of one message takes twice as long there. And it asks a connection that comes back
/// whether it lives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Warm(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    kept: Option<Kept>,
    /// Somebody sees to it that it goes back.
    watched: bool,
}

pub(crate) struct Kept {
    pub(crate) connection: PoolConnection<Postgres>,
    acquired: Instant,
    used: Instant,
}

impl Warm {
    /// A connection: the one that was used last, if it was just now, or one of the pool.
    pub(crate) async fn acquire(&self, pool: &PgPool) -> sqlx::Result<Kept> {
        if let Some(kept) = self.slot().kept.take() {
            return Ok(kept);
        }
        let connection = pool.acquire().await?;
        let now = Instant::now();
        Ok(Kept {
            connection,
            acquired: now,
            used: now,
        })
    }

    /// Keeps it for the next call, unless somebody else might wait for it.
    pub(crate) fn put_back(&self, pool: &PgPool, mut kept: Kept) {
        let spare = pool.num_idle() > 0 || pool.size() < pool.options().get_max_connections();
        if !spare || pool.is_closed() || kept.acquired.elapsed() > KEPT {
            return;
        }
        kept.used = Instant::now();
        let mut slot = self.slot();
        if slot.kept.is_some() {
            // Its drop takes no lock of ours.
            return;
        }
        slot.kept = Some(kept);
        if !slot.watched {
            slot.watched = true;
            tokio::spawn(self.clone().watch());
        }
    }

    /// Gives it back to the pool once nobody has used it for a while.
    async fn watch(self) {
        loop {
            sleep(IDLE).await;
            let mut slot = self.slot();
            let fresh = slot
                .kept
                .as_ref()
                .is_some_and(|kept| kept.used.elapsed() < IDLE);
            if !fresh {
                slot.kept = None;
                slot.watched = false;
                return;
            }
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // To go back to its pool it needs a runtime, which may have ended before the last client.
        if let Some(kept) = self.kept.take()
            && Handle::try_current().is_err()
        {
            drop(kept.connection.detach());
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("kept", &self.kept.is_some())
            .finish_non_exhaustive()
    }
}
