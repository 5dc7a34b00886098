use std::panic::Location;
use std::time::Duration;

use super::error::{Disposition, HandlerError};

mod sealed {
    pub trait Sealed {}
    impl<T, E> Sealed for Result<T, E> {}
    impl<T> Sealed for Option<T> {}
}

/// Says, on the way to `?`, what an error means for the delivery.
///
/// Without it an error means to try again after the backoff of the group.
/// On an `Option`, nothing counts as an error that names the place in the source.
///
/// # Examples
///
/// ```
/// use std::{collections::HashMap, time::Duration};
/// use vulkan_worker::{Disposition, HandlerError, ResultExt};
///
/// fn find<'a>(rates: &HashMap<&str, &'a str>, currency: &str) -> Result<f64, HandlerError> {
///     // The rate may come later; a rate that is no number stays so.
///     let rate = rates.get(currency).retry_in(Duration::from_secs(60))?;
///     Ok(rate.parse().dead()?)
/// }
///
/// let rates = HashMap::from([("EUR", "1.17"), ("XYZ", "n/a")]);
/// assert!(find(&rates, "EUR").is_ok());
/// assert_eq!(find(&rates, "XYZ").unwrap_err().disposition(), Disposition::Dead);
/// assert_eq!(
///     find(&rates, "CHF").unwrap_err().disposition(),
///     Disposition::Retry { after: Some(Duration::from_secs(60)) },
/// );
/// ```
pub trait ResultExt<T>: sealed::Sealed {
    /// Gives up: the delivery is dead. See [`HandlerError::dead`].
    ///
    /// # Errors
    ///
    /// If this is an error, or `None`.
    fn dead(self) -> Result<T, HandlerError>;

    /// Tries again after `delay`. See [`HandlerError::retry_in`].
    ///
    /// # Errors
    ///
    /// If this is an error, or `None`.
    fn retry_in(self, delay: Duration) -> Result<T, HandlerError>;
}

impl<T, E: Into<HandlerError>> ResultExt<T> for Result<T, E> {
    fn dead(self) -> Result<T, HandlerError> {
        self.map_err(|error| error.into().with_disposition(Disposition::Dead))
    }

    fn retry_in(self, delay: Duration) -> Result<T, HandlerError> {
        let after = Some(delay);
        self.map_err(|error| error.into().with_disposition(Disposition::Retry { after }))
    }
}

impl<T> ResultExt<T> for Option<T> {
    #[track_caller]
    fn dead(self) -> Result<T, HandlerError> {
        let place = Location::caller();
        self.ok_or_else(|| HandlerError::dead(missing(place)))
    }

    #[track_caller]
    fn retry_in(self, delay: Duration) -> Result<T, HandlerError> {
        let place = Location::caller();
        self.ok_or_else(|| HandlerError::retry_in(delay, missing(place)))
    }
}

fn missing(place: &Location<'_>) -> String {
    format!("a value is missing at {place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_what_was_said_below() {
        let below: Result<(), _> = Err(HandlerError::snooze(Duration::from_secs(1)));
        assert_eq!(below.dead().unwrap_err().disposition(), Disposition::Dead);
    }

    #[test]
    fn nothing_names_its_place() {
        let error = None::<()>.dead().unwrap_err();
        assert!(error.message().contains("result_ext.rs:"), "{error}");
    }
}
