use super::{Call, Handler};

/// What can be registered with a worker whose state is `S`.
///
/// That is every [`Handler<S>`](Handler), and every function annotated with `#[handler]`
/// by its own name, so that `register(screen)` reads as it should.
///
/// `M` only tells the two cases apart and is always inferred.
/// The bound on the handler stands apart, at whoever registers it,
/// `where H: IntoHandler<S, M>, H::Handler: Handler<S>`:
/// a state that lacks a part is then named by the compiler,
/// which otherwise could only say that nothing fits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be registered with a worker whose state is `{S}`",
    label = "neither annotated with `#[handler]` nor a `Handler<{S}>`",
    note = "write `#[handler(stream = \"..\", group = \"..\")]` above the function, \
            or implement `Handler<{S}>`"
)]
pub trait IntoHandler<S, M> {
    /// The handler that is registered.
    type Handler;

    /// Turns into that handler.
    fn into_handler(self) -> Self::Handler;
}

/// Marks a type that implements [`Handler`] itself.
#[derive(Debug)]
pub enum ByHand {}

#[diagnostic::do_not_recommend]
impl<S, H: Handler<S>> IntoHandler<S, ByHand> for H {
    type Handler = H;

    fn into_handler(self) -> H {
        self
    }
}

// A function is never called here: what it returns names its handler, which has no fields.
macro_rules! annotated_functions {
    ($(($($arg:ident)*))*) => {$(
        #[diagnostic::do_not_recommend]
        impl<S, F, Fut, H, $($arg),*> IntoHandler<S, fn($($arg),*)> for F
        where
            F: Fn($($arg),*) -> Call<Fut, H>,
            H: Default,
        {
            type Handler = H;

            fn into_handler(self) -> H {
                H::default()
            }
        }
    )*};
}

annotated_functions! {
    (A1)
    (A1 A2)
    (A1 A2 A3)
    (A1 A2 A3 A4)
    (A1 A2 A3 A4 A5)
    (A1 A2 A3 A4 A5 A6)
    (A1 A2 A3 A4 A5 A6 A7)
    (A1 A2 A3 A4 A5 A6 A7 A8)
}
