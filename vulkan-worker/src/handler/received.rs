use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::Deserialize;

use super::batch::{Batch, Member};
use super::{Delivery, HandlerError};

/// One message of a batch: its payload, and the [`Delivery`] it came with.
///
/// It dereferences to the payload. What is not [failed](Self::fail) by itself is done when the handler
/// returns `Ok(())`, and gets the handler's error when it returns one.
///
/// # Examples
///
/// ```
/// use vulkan_worker::{HandlerError, Received, Result};
///
/// // `#[handler(stream = "orders", group = "load", batch = 100)]`
/// async fn load(orders: Vec<Received<u64>>) -> Result {
///     for order in &orders {
///         if **order == 0 {
///             order.fail(HandlerError::dead("an order of nothing"));
///         }
///     }
///     Ok(())
/// }
/// # _ = load;
/// ```
pub struct Received<T> {
    payload: T,
    member: Arc<Member>,
}

impl<T> Received<T> {
    /// A message to call a handler with in a test.
    pub fn new(payload: T, delivery: Delivery) -> Self {
        let member = Member {
            delivery,
            failure: Default::default(),
        };
        Self::of_batch(payload, Arc::new(member))
    }

    pub(super) fn of_batch(payload: T, member: Arc<Member>) -> Self {
        Self { payload, member }
    }

    /// What is known of the message besides its payload.
    pub fn delivery(&self) -> &Delivery {
        &self.member.delivery
    }

    /// Lets this message fail, whatever becomes of the others: tried again, put off, or dead, as the error says. Said
    /// twice, the last error counts.
    ///
    /// With a [`Tx`](super::Tx) what was written for it before commits with the others': fail first, or write
    /// under a savepoint.
    pub fn fail(&self, error: impl Into<HandlerError>) {
        self.member.fail(Some(error.into()));
    }

    /// Whether it has failed by itself.
    pub fn has_failed(&self) -> bool {
        self.member.has_failed()
    }

    /// The payload by value.
    pub fn into_payload(self) -> T {
        self.payload
    }
}

impl<T> Deref for Received<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.payload
    }
}

impl<T> DerefMut for Received<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.payload
    }
}

/// Shows the delivery, not the payload, which may hold what no log should.
impl<T> fmt::Debug for Received<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("delivery", self.delivery())
            .field("has_failed", &self.has_failed())
            .finish_non_exhaustive()
    }
}

/// What the first argument of a batch handler may be: a `Vec<Received<T>>`.
///
/// It exists for the message that the compiler prints about anything else.
#[diagnostic::on_unimplemented(
    message = "a batch handler cannot take its messages as `{Self}`",
    label = "expected `Vec<Received<T>>`",
    note = "with `batch = ..` a handler takes a `Vec<Received<T>>`, where `T` is the payload of one message"
)]
#[doc(hidden)]
pub trait BatchPayload: Sized {
    /// `None` if no payload can be read.
    fn take(batch: &Batch) -> Option<Self>;
}

impl<T: for<'de> Deserialize<'de>> BatchPayload for Vec<Received<T>> {
    fn take(batch: &Batch) -> Option<Self> {
        let received = batch.received();
        (!received.is_empty()).then_some(received)
    }
}
