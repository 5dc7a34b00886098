use std::ops::{Deref, DerefMut};

use super::{Delivery, FromDelivery, Result};

/// An argument of a handler that is taken from the state of the worker.
///
/// `State<T>` asks for a `T`, which is the state itself or a part of it named by [`FromRef`].
/// A worker whose state has no such part does not compile.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use vulkan_worker::{FromRef, State};
///
/// #[derive(Clone)]
/// struct Mailer;
///
/// struct App {
///     mailer: Mailer,
///     name: Arc<str>,
/// }
///
/// impl FromRef<App> for Mailer {
///     fn from_ref(app: &App) -> Self {
///         app.mailer.clone()
///     }
/// }
///
/// // `#[handler(stream = "orders", group = "welcome")]`
/// async fn welcome(customer: String, State(mailer): State<Mailer>) {
///     // ..
/// #   _ = (customer, mailer);
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for State<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<S: Sync, T: FromRef<S> + Send> FromDelivery<S> for State<T> {
    async fn from_delivery(_: &Delivery, state: &S) -> Result<Self> {
        Ok(Self(T::from_ref(state)))
    }
}

/// A part of the state `S` that handlers can ask for as [`State<Self>`](State).
///
/// Every type that can be cloned is a part of itself.
/// The call happens once for each delivery, so it should be as cheap as cloning an `Arc`.
#[diagnostic::on_unimplemented(
    message = "the state of the worker, `{S}`, holds no `{Self}`",
    label = "asks for a `{Self}`, which `{S}` does not hold",
    note = "implement `FromRef<{S}>` for `{Self}`, or build the worker with another state"
)]
pub trait FromRef<S> {
    /// Takes the part, which is a clone of something cheap to clone.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}
