use std::sync::Arc;

use sqlx::PgPool;

use super::TraceOptions;
use crate::client::Client;

/// What a client knows for its spans.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    options: TraceOptions,
    server: Arc<(String, u16)>,
}

impl Traced {
    pub(crate) fn new(pool: &PgPool) -> Self {
        let options = pool.connect_options();
        Self {
            options: TraceOptions::default(),
            server: Arc::new((options.get_host().to_owned(), options.get_port())),
        }
    }
}

impl Client {
    /// The same client with other options for its traces.
    ///
    /// # Examples
    ///
    /// ```
    /// use vulkan_core::Client;
    /// use vulkan_core::telemetry::TraceOptions;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), vulkan_core::Error> {
    /// let client = Client::connect("postgres://localhost/orders")
    ///     .await?
    ///     .with_traces(TraceOptions::new().partition_keys(true));
    /// # let _ = client;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_traces(mut self, options: TraceOptions) -> Self {
        self.traced.options = options;
        self
    }

    pub(super) fn traces(&self) -> TraceOptions {
        self.traced.options
    }

    /// The server's address and port.
    pub(super) fn server(&self) -> (&str, u16) {
        (&self.traced.server.0, self.traced.server.1)
    }
}
