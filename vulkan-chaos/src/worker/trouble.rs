//! What a worker process has been told to suffer.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::timeout;
use vulkan::Delivery;

use super::Told;
use crate::ledger::Ledger;
use crate::order::EMAILS;
use crate::process;

/// How often a handler fails at random.
const ODDS: f64 = 0.4;
/// How long the first of two groups waits for the other before the process is frozen without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a worker process says, a line of JSON each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// It has begun.
    Ready,
    /// It dies now, with a transaction open for the message at this offset.
    Crashing(i64),
    /// It freezes now, with these messages in work.
    Freezing(Held),
}

/// The messages that a frozen process holds: one of each group, as far as there was one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) email: Option<i64>,
    pub(crate) payment: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) ledger: Ledger,
    fail: AtomicBool,
    crash: AtomicBool,
    /// Who waits to be frozen, while the process is to be.
    freeze: Mutex<Option<Held>>,
    frozen: Notify,
}

impl Trouble {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            fail: AtomicBool::new(false),
            crash: AtomicBool::new(false),
            freeze: Mutex::new(None),
            frozen: Notify::new(),
        }
    }

    pub(super) fn told(&self, told: Told) {
        match told {
            Told::Fail => self.fail.store(true, SeqCst),
            Told::Behave => self.fail.store(false, SeqCst),
            Told::Crash => self.crash.store(true, SeqCst),
            Told::Freeze => *self.freeze() = Some(Held::default()),
        }
    }

    pub(super) fn may_fail(&self) -> vulkan::Result {
        if self.fail.load(SeqCst) && rand::rng().random_bool(ODDS) {
            return Err("bad luck".into());
        }
        Ok(())
    }

    pub(super) fn may_crash(&self, cx: &Delivery) {
        if self.crash.swap(false, SeqCst) {
            say(&Said::Crashing(cx.offset()));
            process::die();
        }
    }

    /// Freezes the process, when it is to be, once a message of each group is in the midst of its work.
    pub(super) async fn may_freeze(&self, cx: &Delivery) {
        let awaited = self.frozen.notified();
        let Some(all) = self.holds(cx) else { return };
        // Whoever comes first of the other group freezes us both; where nobody comes, we do without.
        if all || timeout(PATIENCE, awaited).await.is_err() {
            self.freeze_now();
        }
    }

    /// Whether a message of each group is held now, with this one; `None` if this one is not to be.
    fn holds(&self, cx: &Delivery) -> Option<bool> {
        let mut freeze = self.freeze();
        let held = freeze.as_mut()?;
        let place = match cx.group() {
            EMAILS => &mut held.email,
            _ => &mut held.payment,
        };
        if place.is_some() {
            return None;
        }
        *place = Some(cx.offset());
        Some(held.email.is_some() && held.payment.is_some())
    }

    fn freeze_now(&self) {
        // Only one of those who wait.
        let held = self.freeze().take();
        if let Some(held) = held {
            say(&Said::Freezing(held));
            process::freeze();
            self.frozen.notify_waiters();
        }
    }

    fn freeze(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.freeze.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the parent. If nobody listens any more, this process is about to end.
pub(super) fn say(said: &Said) {
    let mut out = std::io::stdout().lock();
    if let Ok(line) = serde_json::to_string(said) {
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}
