//! A worker as a process: it does what the messages say, and prints what it handles.
//!
//! The URL of the database is its only argument. A line on its input lets every `wait` go on.

use std::io::{BufRead, stdin};
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::watch;
use vulkan::{Client, Delivery, RunError, State, Worker, handler, shutdown_signal};

/// A message, by what its handler does.
#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Deed {
    /// Succeeds.
    Succeed,
    /// Waits for a line, then succeeds.
    Wait,
    /// Never ends, and says when it is told to.
    Hang,
    /// Takes the process with it.
    Abort,
}

#[handler(
    stream = "orders",
    group = "process",
    retries = 2,
    lease = "1s",
    backoff = "10ms..10ms"
)]
async fn obey(
    deed: Deed,
    delivery: &Delivery,
    State(mut line): State<watch::Receiver<bool>>,
) -> vulkan::Result {
    println!("begin {}", delivery.offset());
    match deed {
        Deed::Succeed => {}
        Deed::Wait => _ = line.wait_for(|there| *there).await?,
        Deed::Hang => {
            delivery.cancelled().await;
            println!("told {}", delivery.offset());
            std::future::pending().await
        }
        Deed::Abort => std::process::abort(),
    }
    println!("end {}", delivery.offset());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the URL is missing")?;
    let (tell, line) = watch::channel(false);
    // A thread, since a task that reads the input would hold up the end of the process.
    std::thread::spawn(move || {
        if let Some(Ok(_)) = stdin().lock().lines().next() {
            tell.send_replace(true);
        }
        // Kept for good: who waits is not told that there will be no line.
        std::thread::park();
    });
    let worker = Worker::builder(Client::connect(&url).await?)
        .state(line)
        .register(obey)
        .poll(Duration::from_millis(50))
        .run(shutdown_signal());
    match worker.await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(RunError::CutOff { messages }) => {
            println!("cut {messages}");
            Ok(ExitCode::from(3))
        }
        Err(error) => Err(error.into()),
    }
}
