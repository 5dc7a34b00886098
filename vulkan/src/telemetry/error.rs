use opentelemetry_otlp::ExporterBuildError;
use tracing_subscriber::util::TryInitError;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The exporter cannot be made of what the `OTEL_*` variables say.
    #[error("the exporter of traces cannot be made; check the variables OTEL_EXPORTER_OTLP_*")]
    Exporter(#[from] ExporterBuildError),
    /// The program has a subscriber already.
    #[error(
        "a subscriber is set already; add the layer of tracing_opentelemetry to that one, or call init first"
    )]
    Subscriber(#[from] TryInitError),
    /// A filter for the logs cannot be read.
    #[error("the filter in {variable} cannot be read")]
    Filter {
        /// The variable that holds it.
        variable: &'static str,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
}
