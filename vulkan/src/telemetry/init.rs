use opentelemetry::global;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::{InitError, logs};

/// Exports traces by OTLP, and writes logs to the standard error output.
///
/// Everything is said by the environment:
///
/// | Variable | Unless set |
/// |---|---|
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | `http://localhost:4318`, or port 4317 for gRPC |
/// | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf`; the other one is `grpc` |
/// | `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TIMEOUT` | none, 10 seconds |
/// | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | `unknown_service` |
/// | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | every trace that begins here, and of others those that are sampled |
/// | `OTEL_BSP_*`, `OTEL_SPAN_*_LIMIT` | as the SDK has them |
/// | `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER=none` | traces are exported |
/// | `VULKAN_LOG`, `RUST_LOG` | `info`: what is logged |
///
/// Spans of the level `INFO` and above are exported, those of the program, too. Events are logged and not
/// exported. Logs are text on a terminal, else JSON.
///
/// Keep what this returns to the end of `main`: dropped, it sends what has not been sent.
///
/// # Errors
///
/// [`InitError`]: a variable cannot be read, or the program has a subscriber already.
///
/// # Panics
///
/// With gRPC, outside a Tokio runtime. It needs a runtime of several threads.
///
/// # Examples
///
/// ```no_run
/// # async fn run() {}
/// #[tokio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let _telemetry = vulkan::telemetry::init()?;
///     run().await;
///     Ok(())
/// }
/// ```
pub fn init() -> Result<Telemetry, InitError> {
    let provider = if exports() { Some(provider()?) } else { None };
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("vulkan"))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && *metadata.level() <= LevelFilter::INFO
            }))
    });
    Registry::default()
        .with(logs::layer()?)
        .with(traces)
        .try_init()?;
    if let Some(provider) = &provider {
        // For what else in the program traces, such as calls of other services.
        global::set_tracer_provider(provider.clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
    }
    Ok(Telemetry { provider })
}

/// What [`init`] has set up. Dropped, it sends what has not been sent, for some seconds at most.
#[derive(Debug)]
#[must_use = "dropped, it ends the export of traces; keep it to the end of `main`"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

fn exports() -> bool {
    let is = |variable, value: &str| {
        std::env::var(variable).is_ok_and(|set: String| set.eq_ignore_ascii_case(value))
    };
    !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}

fn provider() -> Result<SdkTracerProvider, InitError> {
    // For TLS to the receiver, unless the program has chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder().build()?;
    Ok(SdkTracerProvider::builder()
        .with_resource(Resource::builder().build())
        .with_batch_exporter(exporter)
        .build())
}
