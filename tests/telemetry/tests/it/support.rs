mod program;
mod receiver;
mod span;

pub(crate) use program::{Program, database};
pub(crate) use receiver::Receiver;
pub(crate) use span::Span;

/// Polls until a condition holds, and panics with `what` when it takes too long.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"));
}
