//! A transaction held open until somebody lets go, or holds it for too long.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// Nobody wants to wait for longer.
const AT_MOST: Duration = Duration::from_secs(60);
/// Between two looks whether the connection is still there.
const LOOK: Duration = Duration::from_millis(500);

/// Whether somebody holds it, and the way to let go.
#[derive(Debug, Default)]
pub(crate) struct Grip(Mutex<Option<oneshot::Sender<()>>>);

impl Grip {
    pub(crate) fn is_held(&self) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.is_some()
    }

    /// Lets go, if it is held. Returns whether it was.
    pub(crate) fn let_go(&self) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        held.is_some_and(|held| held.send(()).is_ok())
    }

    /// Keeps a connection as it is until somebody lets go. Returns whether it is still good.
    pub(crate) async fn hold(&self, connection: &mut PgConnection) -> bool {
        let (release, mut released) = oneshot::channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(release);
        let until = Instant::now() + AT_MOST;
        while Instant::now() < until {
            tokio::select! {
                _ = &mut released => return true,
                () = sleep(LOOK) => {}
            }
            if connection.ping().await.is_err() {
                self.let_go();
                return false;
            }
        }
        self.let_go();
        true
    }
}
