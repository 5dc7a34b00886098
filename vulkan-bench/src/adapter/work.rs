use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use vulkan::{Client, State, Worker, handler};

use super::config::Config;
use super::job::Job;
use super::meters::Meters;
use super::stop::Stop;

/// How long handlers may take to finish at the end. What they do not finish is given back.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait before a worker that has ended is started anew.
const PAUSE: Duration = Duration::from_secs(1);

/// What handlers share.
#[derive(Debug)]
struct Shared {
    meters: Arc<Meters>,
    work: Duration,
}

#[handler(stream = "long_horizon", group = "long_horizon")]
async fn handle(job: Job, shared: State<Arc<Shared>>) {
    shared.meters.begun(job.at);
    if !shared.work.is_zero() {
        sleep(shared.work).await;
    }
    shared.meters.completed();
}

/// Handles what there is until it is told to stop. A database that is away the worker waits for by itself; one that
/// ends all the same, as when somebody drains it, is started anew.
pub(super) async fn work(client: Client, config: Arc<Config>, meters: Arc<Meters>, stop: Stop) {
    let shared = Arc::new(Shared {
        meters,
        work: config.work,
    });
    loop {
        let ended = Worker::builder(client.clone())
            .state(Arc::clone(&shared))
            .register(handle)
            .concurrency(config.workers)
            .grace(GRACE)
            .run(stop.worker.clone())
            .await;
        match ended {
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the worker has ended"
            ),
            Ok(()) if !stop.is_asked() => tracing::warn!("the worker has ended"),
            Ok(()) => {}
        }
        tokio::select! {
            () = stop.asked() => return,
            () = sleep(PAUSE) => {}
        }
    }
}
