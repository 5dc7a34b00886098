//! The adapter as a process, and what it says.

use std::future::Future;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Waits for something that must happen, however busy the machine is.
pub(super) async fn within<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(90), happens).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Nothing of our own environment but what a process needs to run.
pub(super) fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vulkan-bench"));
    command.arg("adapter").env_clear();
    for name in ["PATH", "HOME", "LLVM_PROFILE_FILE"] {
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    command.envs(variables.iter().copied()).kill_on_drop(true);
    command
}

pub(super) struct Adapter {
    child: Child,
    pub(super) input: Option<ChildStdin>,
    output: UnboundedReceiver<String>,
    logs: UnboundedReceiver<String>,
}

impl Adapter {
    pub(super) fn start(url: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command(variables)
            .env("DATABASE_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            output: lines_of(child.stdout.take().unwrap()),
            logs: lines_of(child.stderr.take().unwrap()),
            child,
        }
    }

    /// The next line; `None` at the end of the output. Each must be an object of JSON.
    pub(super) async fn line(&mut self) -> Option<Value> {
        let line = within("a line", self.output.recv()).await?;
        let value: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(value.is_object(), "{line}");
        Some(value)
    }

    /// The first line.
    pub(super) async fn descriptor(&mut self) -> Value {
        let line = self.line().await.expect("a descriptor");
        assert_eq!(line["kind"], "descriptor", "{line}");
        line
    }

    /// The lines of the next sample: those of one time.
    pub(super) async fn sample(&mut self) -> Sample {
        let mut lines = vec![self.line().await.expect("a sample")];
        while lines.len() < 6 {
            lines.push(self.line().await.expect("the rest of a sample"));
        }
        assert!(
            lines.iter().all(|line| line["t"] == lines[0]["t"]),
            "{lines:?}"
        );
        Sample(lines)
    }

    /// Waits for a sample that is as it should be.
    pub(super) async fn sample_with(
        &mut self,
        what: &str,
        good: impl Fn(&Sample) -> bool,
    ) -> Sample {
        within(what, async {
            loop {
                let sample = self.sample().await;
                if good(&sample) {
                    return sample;
                }
            }
        })
        .await
    }

    /// Waits until the logs say so.
    pub(super) async fn logs(&mut self, text: &str) {
        within(text, async {
            while let Some(line) = self.logs.recv().await {
                if line.contains(text) {
                    return;
                }
            }
            panic!("the logs end without {text:?}");
        })
        .await;
    }

    pub(super) async fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id().unwrap());
        let sent = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(sent.unwrap().success(), "{kill}");
    }

    pub(super) async fn exit(&mut self) -> ExitStatus {
        within("the process to end", self.child.wait())
            .await
            .unwrap()
    }

    /// Nobody reads its output any more.
    pub(super) fn stop_reading(&mut self) {
        self.output.close();
    }
}

/// Read whether or not anybody asks, lest the process stands still at a full pipe.
fn lines_of(pipe: impl AsyncRead + Unpin + Send + 'static) -> UnboundedReceiver<String> {
    let mut lines = BufReader::new(pipe).lines();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}

/// The six lines of one time.
#[derive(Debug)]
pub(super) struct Sample(pub(super) Vec<Value>);

impl Sample {
    pub(super) fn line(&self, metric: &str) -> &Value {
        let found = self.0.iter().find(|line| line["metric"] == metric);
        found.unwrap_or_else(|| panic!("{metric} is missing: {self:?}"))
    }

    pub(super) fn value(&self, metric: &str) -> f64 {
        self.line(metric)["value"].as_f64().unwrap()
    }
}
