use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use super::InitError;

/// Where the filter of the logs may stand, the first first.
const FILTERS: [&str; 2] = ["VULKAN_LOG", "RUST_LOG"];

/// Logs on the standard error output: text for people, JSON for programs.
pub(super) fn layer<S>() -> Result<Box<dyn Layer<S> + Send + Sync>, InitError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let filter = filter()?;
    Ok(if std::io::stderr().is_terminal() {
        layer.with_filter(filter).boxed()
    } else {
        layer
            .with_ansi(false)
            .json()
            .with_current_span(true)
            .with_span_list(false)
            .with_filter(filter)
            .boxed()
    })
}

fn filter() -> Result<EnvFilter, InitError> {
    let set = FILTERS.into_iter().find_map(|variable| {
        let filter = std::env::var(variable).ok()?;
        (!filter.is_empty()).then_some((variable, filter))
    });
    match set {
        Some((variable, filter)) => {
            EnvFilter::try_new(filter).map_err(|source| InitError::Filter { variable, source })
        }
        None => Ok(EnvFilter::new("info")),
    }
}
