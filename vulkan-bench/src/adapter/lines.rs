use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::error::AdapterError;
use super::stop::Stop;

/// How many samples may wait for a reader that takes its time.
const WAITING: usize = 1024;
/// Whose lines they are.
const SYSTEM: &str = "vulkan";

/// One line of the standard output.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Line {
    /// The first: what takes part.
    Descriptor {
        system: System,
        event_tables: Vec<String>,
        extensions: [&'static str; 0],
        version: &'static str,
        schema_version: String,
        db_name: String,
        started_at: String,
    },
    /// One metric.
    Adapter {
        t: String,
        system: System,
        #[serde(skip_serializing_if = "Option::is_none")]
        instance_id: Option<u32>,
        subject_kind: &'static str,
        subject: &'static str,
        metric: &'static str,
        value: f64,
        window_s: f64,
    },
}

/// Always the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct System;

impl Serialize for System {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SYSTEM)
    }
}

/// The standard output, written by a thread of its own: a reader that does not read must not hold up what is measured.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    to_write: SyncSender<Order>,
    failed: Arc<OnceLock<io::Error>>,
}

#[derive(Debug)]
enum Order {
    Write(Vec<u8>),
    /// All before is written: say so.
    Tell(oneshot::Sender<()>),
}

impl Lines {
    /// Begins. Once nobody reads any more there is nothing left to do, so that it asks for the end.
    pub(super) fn start(stop: Stop) -> io::Result<Self> {
        let (to_write, orders) = sync_channel(WAITING);
        let failed = Arc::default();
        let lines = Self {
            to_write,
            failed: Arc::clone(&failed),
        };
        std::thread::Builder::new()
            .name("lines".into())
            .spawn(move || {
                if let Err(error) = write(&orders) {
                    let _ = failed.set(error);
                    stop.now();
                }
            })?;
        Ok(lines)
    }

    /// Writes lines, together and soon.
    pub(super) fn send(&self, lines: &[Line]) {
        let mut text = Vec::new();
        for line in lines {
            if let Err(error) = serde_json::to_writer(&mut text, line) {
                tracing::error!(%error, "a line cannot be written as JSON");
                return;
            }
            text.push(b'\n');
        }
        if let Err(TrySendError::Full(_)) = self.to_write.try_send(Order::Write(text)) {
            tracing::warn!("nobody reads the standard output: a sample is lost");
        }
    }

    /// Waits until what was sent is written, or not much longer than this.
    pub(super) async fn flush(&self, patience: Duration) -> Result<(), AdapterError> {
        let (tell, told) = oneshot::channel();
        if self.to_write.try_send(Order::Tell(tell)).is_ok()
            && timeout(patience, told).await.is_err()
        {
            tracing::warn!("nobody reads the standard output: the last samples are lost");
        }
        match self.failed.get() {
            Some(error) => Err(AdapterError::Output(io::Error::new(
                error.kind(),
                error.to_string(),
            ))),
            None => Ok(()),
        }
    }
}

fn write(orders: &Receiver<Order>) -> io::Result<()> {
    let mut output = io::stdout();
    for order in orders {
        match order {
            Order::Write(text) => {
                output.write_all(&text)?;
                output.flush()?;
            }
            Order::Tell(tell) => {
                let _ = tell.send(());
            }
        }
    }
    Ok(())
}
