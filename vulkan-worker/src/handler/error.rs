use std::error::Error;
use std::fmt;
use std::iter;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::checkpoint::{self, CheckpointError};
use super::decode::DecodeError;
use super::error_message;
use super::failure::Failure;

type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Why a delivery was not handled, and what is to become of it.
///
/// Every error turns into one by `?` and then means: try again, after the backoff of the group.
/// Anything else is said aloud, here or with [`ResultExt`](super::ResultExt).
///
/// | Made by | Counts as an attempt? | Who picks the delay? |
/// |---|---|---|
/// | `?` on any error | yes | the backoff of the group |
/// | [`retry_in`](Self::retry_in) | yes | the handler |
/// | [`snooze`](Self::snooze) | no | the handler |
/// | [`dead`](Self::dead), or `?` on a [`DecodeError`] | yes, the last | nobody |
/// | any of them, [`with_checkpoint`](Self::with_checkpoint) | as before | as before |
///
/// The type deliberately does not implement [`std::error::Error`]:
/// only so can every error convert into it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vulkan_worker::{HandlerError, Result, ResultExt};
///
/// fn charge(amount: &str, busy: bool) -> Result {
///     // No attempt will ever make this a number.
///     let amount: u64 = amount.parse().dead()?;
///     if amount == 0 {
///         return Err(HandlerError::dead("nothing to charge"));
///     }
///     // Not a failure: the bank opens at nine.
///     if busy {
///         return Err(HandlerError::snooze(Duration::from_secs(3600)));
///     }
///     // Tried again after the backoff of the group.
///     std::fs::read("/etc/bank/credentials")?;
///     Ok(())
/// }
/// # assert_eq!(charge("x", false).unwrap_err().message(), "invalid digit found in string");
/// ```
pub struct HandlerError(Box<Inner>);

// Boxed so that a `Result` of a handler is one word wide.
struct Inner {
    disposition: Disposition,
    cause: Option<BoxError>,
    checkpoint: Option<Box<RawValue>>,
}

/// What is to become of a delivery after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Try again. The attempt counts, and after the last one the delivery is dead.
    Retry {
        /// When; `None` leaves it to the backoff of the group.
        after: Option<Duration>,
    },
    /// Try again, as if this attempt had not been.
    Snooze {
        /// When.
        after: Duration,
    },
    /// Give up at once.
    Dead,
}

impl HandlerError {
    /// The longest [`message`](Self::message), in bytes.
    pub const MAX_MESSAGE_LEN: usize = error_message::MAX_MESSAGE_LEN;

    /// Try again after the backoff of the group, even if `error` is a [`DecodeError`].
    ///
    /// For any other error this is what `?` does.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self::new(Disposition::Retry { after: None }, Some(error.into()))
    }

    /// Try again after `delay`, in place of the backoff of the group.
    ///
    /// Fits an answer such as "429 Too Many Requests" that says how long to wait.
    /// The attempt counts: after the last one the delivery is dead all the same.
    pub fn retry_in(delay: Duration, error: impl Into<BoxError>) -> Self {
        let after = Some(delay);
        Self::new(Disposition::Retry { after }, Some(error.into()))
    }

    /// Try again after `delay`, as if this attempt had not been.
    ///
    /// Fits what is no failure but comes too early.
    /// As no attempt is spent, it is up to the handler to end it some day.
    pub fn snooze(delay: Duration) -> Self {
        Self::new(Disposition::Snooze { after: delay }, None)
    }

    /// Give up: the delivery is dead until somebody redrives it.
    pub fn dead(reason: impl Into<BoxError>) -> Self {
        Self::new(Disposition::Dead, Some(reason.into()))
    }

    fn new(disposition: Disposition, cause: Option<BoxError>) -> Self {
        Self(Box::new(Inner {
            disposition,
            cause,
            checkpoint: None,
        }))
    }

    /// What is to become of the delivery.
    pub fn disposition(&self) -> Disposition {
        self.0.disposition
    }

    /// The same error with another fate.
    #[must_use]
    pub fn with_disposition(mut self, disposition: Disposition) -> Self {
        self.0.disposition = disposition;
        self
    }

    /// The same error, with what the next attempt finds as its [checkpoint](crate::Delivery::checkpoint). It is saved
    /// before the message can be handed out again.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Encode`] if `value` cannot be written as JSON.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use vulkan_worker::{Delivery, HandlerError, Result};
    ///
    /// async fn poll(job: String, cx: &Delivery) -> Result {
    ///     let asked: u32 = cx.checkpoint().await?.unwrap_or(0);
    ///     println!("{job} was asked for {asked} times");
    ///     Err(HandlerError::snooze(Duration::from_secs(60)).with_checkpoint(&(asked + 1))?)
    /// }
    /// # _ = poll;
    /// ```
    pub fn with_checkpoint<T: Serialize + ?Sized>(
        mut self,
        value: &T,
    ) -> Result<Self, CheckpointError> {
        self.0.checkpoint = Some(checkpoint::encode(value)?);
        Ok(self)
    }

    /// The checkpoint it takes along.
    pub(crate) fn checkpoint(&self) -> Option<&RawValue> {
        self.0.checkpoint.as_deref()
    }

    /// The error that was converted, if there was one.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// The error and its sources as one line, `outer: inner: innermost`.
    ///
    /// A source whose text the line already holds is left out,
    /// NUL, which no database text can hold, is replaced,
    /// and the whole is cut to [`MAX_MESSAGE_LEN`](Self::MAX_MESSAGE_LEN) bytes.
    pub fn message(&self) -> String {
        self.message_of(error_message::MAX_MESSAGE_LEN)
    }

    /// The same, cut to another length.
    pub(crate) fn message_of(&self, max_len: usize) -> String {
        match (&self.0.cause, self.0.disposition) {
            (Some(cause), _) => error_message::of(&**cause, max_len),
            (None, Disposition::Snooze { after }) => format!("snoozed for {after:?}"),
            (None, _) => "failed without a reason".into(),
        }
    }
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        match error.into().downcast::<Failure>() {
            Ok(failure) => failure.into_inner(),
            Err(error) => Self::new(disposition(&*error), Some(error)),
        }
    }
}

/// What an error means by itself, also below a context that was put around it: a [`DecodeError`] is
/// dead, a [`Failure`] what its handler said.
fn disposition(error: &(dyn Error + 'static)) -> Disposition {
    iter::successors(Some(error), |&error| error.source())
        .take(error_message::MAX_DEPTH)
        .find_map(|error| match error.downcast_ref::<Failure>() {
            Some(failure) => Some(failure.get().disposition()),
            None => error.is::<DecodeError>().then_some(Disposition::Dead),
        })
        .unwrap_or(Disposition::Retry { after: None })
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError")
            .field("disposition", &self.0.disposition)
            .field("cause", &self.0.cause)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Delivery;

    const RETRY: Disposition = Disposition::Retry { after: None };

    #[test]
    fn question_mark_retries() {
        fn failing() -> Result<(), HandlerError> {
            Err(std::io::Error::other("gone"))?
        }
        assert_eq!(failing().unwrap_err().disposition(), RETRY);
        assert_eq!(HandlerError::from("text").message(), "text");
        assert_eq!(
            HandlerError::from(String::from("text")).disposition(),
            RETRY
        );
    }

    #[test]
    fn an_undecodable_payload_is_dead_also_within_a_context() {
        #[derive(Debug, thiserror::Error)]
        #[error("order is unreadable")]
        struct Context(#[source] DecodeError);

        let delivery = Delivery::builder_json("text").unwrap().build();
        let bare = || delivery.decode::<u8>().unwrap_err();
        assert_eq!(HandlerError::from(bare()).disposition(), Disposition::Dead);

        let error = HandlerError::from(Context(bare()));
        assert_eq!(error.disposition(), Disposition::Dead);
        assert!(
            error.message().starts_with(
                "order is unreadable: cannot decode the payload into `u8`: invalid type"
            )
        );
        assert_eq!(HandlerError::retry(bare()).disposition(), RETRY);
    }

    #[test]
    fn a_failure_keeps_its_fate_also_within_a_context() {
        #[derive(Debug, thiserror::Error)]
        #[error("the layer gave up")]
        struct Layer(#[source] Failure);

        let after = Duration::from_secs(7);
        let snoozed = || Failure::from(HandlerError::snooze(after));
        let bare = HandlerError::from(snoozed());
        assert_eq!(bare.disposition(), Disposition::Snooze { after });
        assert!(bare.cause().is_none());
        let wrapped = HandlerError::from(Layer(snoozed()));
        assert_eq!(wrapped.disposition(), Disposition::Snooze { after });
        let outer = std::io::Error::other("inner");
        let context = Layer(HandlerError::dead(outer).into());
        assert_eq!(
            HandlerError::from(context).message(),
            "the layer gave up: inner"
        );
    }

    #[test]
    fn snooze_has_a_message() {
        let error = HandlerError::snooze(Duration::from_secs(30));
        assert_eq!(error.message(), "snoozed for 30s");
    }

    #[test]
    fn is_one_word_wide() {
        assert_eq!(size_of::<Result<(), HandlerError>>(), size_of::<usize>());
    }
}
