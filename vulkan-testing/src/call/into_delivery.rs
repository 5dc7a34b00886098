//! What a handler can be called with.

use std::error::Error;
use std::fmt;

use vulkan::{Client, Delivery, DeliveryBuilder, Event, HandlerOptions, KindPattern};

/// What a handler can be called with: a reference to an [`Event`], or a [`Delivery`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot be called with `{Self}`",
    label = "neither a `Delivery` nor a reference to an `Event`",
    note = "derive `Event` for the type and pass `&value`, or make a `Delivery::builder_json(&payload)?`"
)]
pub trait IntoDelivery {
    /// Turns into a delivery for a handler with these options, on this database if there is one.
    ///
    /// # Errors
    ///
    /// [`NoDelivery`].
    fn into_delivery(
        self,
        options: &HandlerOptions,
        client: Option<&Client>,
    ) -> Result<Delivery, NoDelivery>;
}

/// Why no delivery can be made for a handler.
#[derive(Debug)]
pub struct NoDelivery(String);

impl fmt::Display for NoDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NoDelivery {}

/// As it stands: whoever built it has said what it is.
impl IntoDelivery for Delivery {
    fn into_delivery(self, _: &HandlerOptions, _: Option<&Client>) -> Result<Delivery, NoDelivery> {
        Ok(self)
    }
}

impl IntoDelivery for DeliveryBuilder {
    fn into_delivery(
        self,
        _: &HandlerOptions,
        client: Option<&Client>,
    ) -> Result<Delivery, NoDelivery> {
        Ok(with(self, client).build())
    }
}

/// The first attempt in the handler's group.
#[diagnostic::do_not_recommend]
impl<E: Event> IntoDelivery for &E {
    fn into_delivery(
        self,
        options: &HandlerOptions,
        client: Option<&Client>,
    ) -> Result<Delivery, NoDelivery> {
        let taken = options.kinds.is_empty()
            || options.kinds.iter().any(|kind| {
                let pattern = kind.parse::<KindPattern>();
                pattern.is_ok_and(|pattern| pattern.matches(E::KIND))
            });
        if options.stream != E::STREAM || !taken {
            return Err(NoDelivery(format!(
                "handler {:?} takes {} of stream {:?}, and is never called with kind {:?} of stream {:?}",
                options.name,
                match options.kinds.as_slice() {
                    [] => "every kind".to_owned(),
                    kinds => format!("{kinds:?}"),
                },
                options.stream,
                E::KIND,
                E::STREAM,
            )));
        }
        let builder = Delivery::of(self).map_err(|error| {
            NoDelivery(format!(
                "a {:?} event cannot be written as JSON: {error}",
                E::KIND
            ))
        })?;
        Ok(with(builder, client)
            .group(options.group.clone())
            .max_attempts(options.max_attempts())
            .build())
    }
}

fn with(builder: DeliveryBuilder, client: Option<&Client>) -> DeliveryBuilder {
    match client {
        Some(client) => builder.client(client),
        None => builder,
    }
}
