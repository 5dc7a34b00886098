use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// What tells a handler to end.
///
/// Most handlers never ask, so the token comes into being with the first who does: a child of the worker's
/// own, which costs a lock that all handlers share.
#[derive(Debug)]
pub(crate) struct Cancellation {
    leaving: Arc<CancellationToken>,
    own: OnceLock<CancellationToken>,
}

impl Cancellation {
    /// Told when the worker stops.
    pub(crate) fn under(leaving: &Arc<CancellationToken>) -> Self {
        Self {
            leaving: Arc::clone(leaving),
            own: OnceLock::new(),
        }
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        self.own.get_or_init(|| self.leaving.child_token())
    }

    pub(crate) fn cancel(&self) {
        self.token().cancel();
    }
}

/// Told by this token.
impl From<CancellationToken> for Cancellation {
    fn from(token: CancellationToken) -> Self {
        Self {
            leaving: Arc::default(),
            own: token.into(),
        }
    }
}
