//! Blocking work, seen from async code.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::Error;

/// Longer than any step takes: the watchdog's own limits come first.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs `work` on a thread of its own, which ends it even if the caller goes away.
///
/// Not `spawn_blocking`: a runtime waits for that on shutdown, so one stuck
/// disk would keep a test from ever reporting its timeout.
pub(crate) async fn blocking<T, F>(step: &'static str, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        // Nobody listening is fine: dropping the result cleans up after it.
        let _ = sender.send(work());
    });
    match timeout(LIMIT, receiver).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) | Err(_) => Err(Error::Timeout {
            step,
            waited: LIMIT,
        }),
    }
}
