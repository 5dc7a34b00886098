use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// When a connection of a pool was last asked in vain.
///
/// What has been idle since before that went the same way, most likely: it is replaced rather than asked, since one
/// question after the other would take as many times as long.
#[derive(Debug, Clone, Default)]
pub(crate) struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    /// Notes that a question asked at this moment got no answer.
    pub(crate) fn note(&self, asked: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(Some(asked));
    }

    /// Whether a question was asked in vain after this moment.
    pub(crate) fn since(&self, moment: Instant) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|asked| moment < asked)
    }
}
