//! The same call again and again, from many tasks at once.

use std::future::Future;
use std::time::{Duration, Instant};

use futures::future::try_join_all;

use crate::Result;

/// Calls `call` from so many tasks for so many seconds: each task gets its number and returns a future that does so many
/// messages. Returns the messages and the seconds.
pub(crate) async fn hammer<F, Fut>(tasks: usize, seconds: u64, call: F) -> Result<(u64, f64)>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<u64>> + Send + 'static,
{
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let running = (0..tasks).map(|task| {
        let call = call.clone();
        let running = tokio::spawn(async move {
            let mut messages = 0;
            while Instant::now() < end {
                messages += call(task).await?;
            }
            Ok::<_, crate::Failure>(messages)
        });
        async { running.await? }
    });
    let messages: u64 = try_join_all(running).await?.into_iter().sum();
    Ok((messages, begun.elapsed().as_secs_f64()))
}
