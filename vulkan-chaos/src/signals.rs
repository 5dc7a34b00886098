//! The signals that end the program from outside, each with the exit code that tells of it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Result;

#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// The program was stopped, and goes on.
    resumed: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        let resumed = SignalKind::from_raw(rustix::process::Signal::CONT.as_raw());
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            resumed: signal(resumed)?,
        })
    }

    /// Waits until the program is to end, and returns its exit code.
    pub(crate) async fn end(&mut self) -> u8 {
        loop {
            if let Some(code) = self.next().await {
                return code;
            }
        }
    }

    /// Waits for a signal: the exit code, or `None` after the program was stopped and goes on.
    pub(crate) async fn next(&mut self) -> Option<u8> {
        tokio::select! {
            _ = self.interrupt.recv() => Some(130),
            _ = self.terminate.recv() => Some(143),
            _ = self.hangup.recv() => Some(129),
            _ = self.resumed.recv() => None,
        }
    }
}
