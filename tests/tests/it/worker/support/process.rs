//! A worker as a process of its own: `src/bin/test_worker.rs`, and `limited_worker.rs`.

use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::within;

pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: UnboundedReceiver<String>,
}

impl Process {
    /// Starts one on the database of this URL. It is killed with the value.
    pub(crate) fn start(url: &str) -> Self {
        Self::start_as(env!("CARGO_BIN_EXE_test-worker"), url)
    }

    /// Starts another program in its place.
    pub(crate) fn start_as(program: &str, url: &str) -> Self {
        let mut child = Command::new(program)
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, output) = unbounded_channel();
        // Read whether or not anybody asks: a process that prints into a full pipe stands still.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = tell.send(line);
            }
        });
        Self {
            child,
            input,
            output,
        }
    }

    /// Waits until it says this.
    pub(crate) async fn says(&mut self, text: &str) {
        self.says_before(text).await;
    }

    /// Waits until it says this. Returns what it has said before, and nobody has waited for.
    pub(crate) async fn says_before(&mut self, text: &str) -> Vec<String> {
        within(&format!("the process to say {text:?}"), async {
            let mut before = Vec::new();
            loop {
                match self.output.recv().await {
                    Some(line) if line == text => return before,
                    Some(line) => before.push(line),
                    None => panic!("the process ended before it said {text:?}"),
                }
            }
        })
        .await
    }

    /// Lets everybody who waits in it go on.
    pub(crate) async fn let_go(&mut self) {
        self.input.write_all(b"\n").await.unwrap();
    }

    /// Sends it a signal, by name.
    pub(crate) async fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id().unwrap());
        let sent = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(sent.unwrap().success(), "{kill}");
    }

    /// Waits for its end.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        within("the process to end", self.child.wait())
            .await
            .unwrap()
    }
}
