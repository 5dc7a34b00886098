use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vulkan_core::{Client, Error};

/// How long an answer holds. As long is a message put off: then another worker may get it.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// So many kinds are known at once. More would come from a publisher that makes them up.
const MOST: usize = 1000;

/// Knows which kinds other workers of the group take that this one has no handler for: while a release is rolled
/// out, there are two of them.
#[derive(Debug)]
pub(super) struct Elsewhere {
    client: Client,
    worker: String,
    group_id: i32,
    known: Mutex<HashMap<String, (Instant, bool)>>,
}

impl Elsewhere {
    pub(super) fn new(client: &Client, worker: &str, group_id: i32) -> Self {
        Self {
            client: client.clone(),
            worker: worker.to_owned(),
            group_id,
            known: Mutex::default(),
        }
    }

    /// Whether somebody else takes messages of this kind, or may.
    pub(super) async fn takes(&self, kind: &str) -> Result<bool, Error> {
        let asked = Instant::now();
        if let Some((since, takes)) = self.known().get(kind)
            && asked.saturating_duration_since(*since) < PAUSE
        {
            return Ok(*takes);
        }
        let client = &self.client;
        let takes = client.taken_elsewhere(self.group_id, &self.worker, kind);
        let takes = takes.await?;
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(kind.to_owned(), (asked, takes));
        Ok(takes)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Instant, bool)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
