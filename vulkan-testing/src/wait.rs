//! Waiting, with a limit that says what for.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use crate::failure::fail;

/// Long enough for a busy machine, short enough to fail.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits for `work`, and fails the test with `what` when that takes longer than thirty seconds.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (tell, told) = tokio::sync::oneshot::channel();
/// tell.send(7).unwrap();
/// let answer = vulkan_testing::within("the answer", told).await;
/// assert_eq!(answer, Ok(7));
/// # }
/// ```
#[track_caller]
pub fn within<T>(what: &str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let at = Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(value) => value,
            Err(_) => fail(at, format_args!("waited in vain for {what}")),
        }
    }
}

/// Waits until a condition holds, and fails the test with `what` when it does not within thirty seconds.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let begun = std::time::Instant::now();
/// vulkan_testing::until("a while", async || begun.elapsed().as_millis() > 5).await;
/// # }
/// ```
#[track_caller]
pub fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    within(what, async move {
        while !holds().await {
            tokio::time::sleep(PAUSE).await;
        }
    })
}
