use std::io;

use tokio_util::sync::CancellationToken;
use vulkan::Shutdown;

/// Tells all parts that it is over.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    asked: CancellationToken,
    /// The worker's own.
    pub(super) worker: Shutdown,
}

impl Stop {
    /// Asked by the first SIGTERM or ctrl-c; a second one lets no handler finish.
    pub(super) fn on_signals() -> io::Result<Self> {
        let stop = Self {
            asked: CancellationToken::new(),
            worker: Shutdown::new(),
        };
        let mut signals = Signals::new()?;
        let asks = stop.clone();
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!("told to stop");
            asks.now();
            signals.next().await;
            asks.worker.stop_now();
        });
        Ok(stop)
    }

    pub(super) fn now(&self) {
        self.asked.cancel();
        self.worker.stop();
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    pub(super) async fn asked(&self) {
        self.asked.cancelled().await;
    }
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        ))
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.0.recv() => {} _ = self.1.recv() => {} }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
