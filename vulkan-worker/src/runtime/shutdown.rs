use std::future::Future;

use tokio_util::sync::CancellationToken;

/// How a program tells its worker to stop: first gracefully, then at once.
///
/// # Examples
///
/// ```
/// use vulkan_worker::Shutdown;
///
/// let shutdown = Shutdown::new();
/// // … hand a clone to `Worker::run`, keep this one, and later:
/// shutdown.stop();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    graceful: CancellationToken,
    at_once: CancellationToken,
}

impl Shutdown {
    /// A shutdown that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the worker to stop: it claims nothing more, and lets running handlers finish within its
    /// grace period.
    pub fn stop(&self) {
        self.graceful.cancel();
    }

    /// Asks the worker to stop now: running handlers are dropped, and their messages given back.
    pub fn stop_now(&self) {
        self.graceful.cancel();
        self.at_once.cancel();
    }

    pub(super) async fn graceful(&self) {
        self.graceful.cancelled().await;
    }

    pub(super) async fn at_once(&self) {
        self.at_once.cancelled().await;
    }
}

/// A shutdown by SIGTERM or ctrl-c: the first asks for a graceful stop, a second ends the worker at once.
///
/// The signals are taken over from the moment of the call, for the rest of the process's life.
///
/// # Panics
///
/// Outside a Tokio runtime.
#[must_use = "the signals are taken over, so something must listen to the shutdown"]
pub fn shutdown_signal() -> Shutdown {
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let mut signals = Signals::new();
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("shutting down; once more ends it at once");
        asked.stop();
        signals.next().await;
        tracing::warn!("ending at once");
        asked.stop_now();
    });
    shutdown
}

#[cfg(unix)]
struct Signals(Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let both = signal(SignalKind::terminate())
            .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
        match both {
            Ok(signals) => Self(Some(signals)),
            Err(error) => {
                tracing::error!(%error, "signals cannot be taken over; they end the process as they do by default");
                Self(None)
            }
        }
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some((term, int)) => {
                tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

/// What can tell a worker to stop: a [`Shutdown`], or any future, whose end asks for a graceful stop.
pub trait IntoShutdown {
    /// Turns into a shutdown.
    ///
    /// # Panics
    ///
    /// Of a future, outside a Tokio runtime.
    fn into_shutdown(self) -> Shutdown;
}

impl IntoShutdown for Shutdown {
    fn into_shutdown(self) -> Shutdown {
        self
    }
}

impl<F: Future<Output = ()> + Send + 'static> IntoShutdown for F {
    fn into_shutdown(self) -> Shutdown {
        let shutdown = Shutdown::new();
        let asked = shutdown.clone();
        tokio::spawn(async move {
            self.await;
            asked.stop();
        });
        shutdown
    }
}
