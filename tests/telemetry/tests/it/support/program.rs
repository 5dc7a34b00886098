//! The program of `src/bin/traced.rs`, as a process of its own.

use std::process::Stdio;

use tokio::process::{Child, Command};
use vulkan::Client;
use vulkan_devpg::TestDatabase;

use super::Receiver;

pub(crate) struct Program(Child);

impl Program {
    /// Starts it, sending to the receiver. It is killed with the value.
    pub(crate) fn start(role: &str, url: &str, receiver: &Receiver, options: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_traced"))
            .args([role, url, options])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .env("OTEL_SERVICE_NAME", role)
            .env("OTEL_BSP_SCHEDULE_DELAY", "50")
            .env("VULKAN_LOG", "error")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Runs it to its end.
    pub(crate) async fn run(role: &str, url: &str, receiver: &Receiver, options: &str) {
        let mut program = Self::start(role, url, receiver, options);
        assert!(program.0.wait().await.unwrap().success());
    }

    /// Ends its input, and waits for its end.
    pub(crate) async fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().await.unwrap().success());
    }
}

/// A database with the streams that the program works on.
pub(crate) async fn database() -> (TestDatabase, Client) {
    let database = vulkan_devpg::shared()
        .await
        .create_database()
        .await
        .unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    client.migrate().await.unwrap();
    for stream in ["orders", "rows", "receipts"] {
        client.create_stream(stream).await.unwrap();
    }
    (database, client)
}
