use std::error::Error;
use std::fmt;

use super::HandlerError;

/// A [`HandlerError`] as a [`std::error::Error`], for code that wants one, such as the layers of
/// [`WorkerBuilder::layer`](crate::WorkerBuilder::layer).
///
/// What becomes of the delivery is kept: turned back into a `HandlerError`, by `?` or
/// [`From`], it means the same as before, also below other errors that were put around it.
///
/// # Examples
///
/// ```
/// use vulkan_worker::{Disposition, Failure, HandlerError};
///
/// let boxed: Box<dyn std::error::Error + Send + Sync> =
///     Failure::from(HandlerError::dead("no such customer")).into();
/// let error = HandlerError::from(boxed);
/// assert_eq!(error.disposition(), Disposition::Dead);
/// assert_eq!(error.message(), "no such customer");
/// ```
pub struct Failure(pub(super) HandlerError);

impl Failure {
    /// The error of the handler.
    pub fn into_inner(self) -> HandlerError {
        self.0
    }

    /// The error of the handler.
    pub fn get(&self) -> &HandlerError {
        &self.0
    }
}

impl From<HandlerError> for Failure {
    fn from(error: HandlerError) -> Self {
        Self(error)
    }
}

/// The error itself, without its sources.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.cause() {
            Some(cause) => fmt::Display::fmt(cause, f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause()?.source()
    }
}
