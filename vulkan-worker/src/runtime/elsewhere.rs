use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vulkan_core::{Client, Error};

/// How long an answer holds. As long is a message put off: then another worker may get it.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How long a worker claims nothing that was handed nothing it has a handler for. Longer than the messages are put
/// off: it knows best when they are due again, and would always be the first to claim them. And without a rest it
/// would turn a whole backlog that is not its own into messages put off.
pub(super) const REST: Duration = Duration::from_millis(1500);
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

    /// Whether somebody else takes messages of this kind, or may. Who cannot be asked may.
    pub(super) async fn takes(&self, kind: &str) -> (bool, Option<Error>) {
        if let Some((since, takes)) = self.known().get(kind)
            && since.elapsed() < PAUSE
        {
            return (*takes, None);
        }
        let client = &self.client;
        let takes = client.taken_elsewhere(self.group_id, &self.worker, kind);
        let (takes, error) = match takes.await {
            Ok(takes) => (takes, None),
            Err(error) => (true, Some(error)),
        };
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(kind.to_owned(), (Instant::now(), takes));
        (takes, error)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Instant, bool)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
