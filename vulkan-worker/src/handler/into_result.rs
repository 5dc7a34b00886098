use super::{HandlerError, Result};

/// What the function of a handler may return: `()`, or `Result<(), E>` for any error type `E`.
///
/// An error converts by [`From`] into a [`HandlerError`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "expected `()` or `Result<(), E>`",
    note = "return `vulkan::Result`, which is `Result<(), HandlerError>` and takes every error \
            by `?`"
)]
pub trait IntoResult {
    /// The one form the worker knows.
    ///
    /// # Errors
    ///
    /// The error of the handler.
    fn into_result(self) -> Result;
}

impl IntoResult for () {
    fn into_result(self) -> Result {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<E: Into<HandlerError>> IntoResult for std::result::Result<(), E> {
    fn into_result(self) -> Result {
        self.map_err(Into::into)
    }
}
