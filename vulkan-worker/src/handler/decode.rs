use std::any::type_name;
use std::error::Error;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A payload that is not of the type a handler wants.
///
/// The message names the field by its path, such as `items[2].price`.
/// As no later attempt will find another payload,
/// a [`HandlerError`](super::HandlerError) made from it leaves the delivery dead.
#[derive(Debug)]
pub struct DecodeError {
    target: &'static str,
    path: String,
    source: serde_json::Error,
}

impl DecodeError {
    /// The path of the field that does not fit, `.` for the payload as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot decode the payload into `{}`", self.target)?;
        match self.path.as_str() {
            "." => Ok(()),
            path => write!(f, " at {path}"),
        }
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

pub(super) fn decode<'a, T: Deserialize<'a>>(payload: &'a RawValue) -> Result<T, DecodeError> {
    // Following the path costs time, so it is done only to explain a failure.
    if let Ok(value) = serde_json::from_str(payload.get()) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_str(payload.get());
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| DecodeError {
        target: type_name::<T>(),
        path: error.path().to_string(),
        source: error.into_inner(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoding is of interest")]
    struct Order {
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoding is of interest")]
    struct Item {
        price: u64,
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.into()).unwrap()
    }

    #[test]
    fn names_the_path() {
        let payload = raw(r#"{"items":[{"price":1},{"price":2},{"price":"free"}]}"#);
        let error = decode::<Order>(&payload).unwrap_err();
        assert_eq!(error.path(), "items[2].price");
        assert!(error.to_string().ends_with("::Order` at items[2].price"));
        let source = error.source().unwrap().to_string();
        assert!(source.starts_with("invalid type: string \"free\", expected u64"));
    }

    #[test]
    fn names_no_path_at_the_root() {
        let error = decode::<u8>(&raw("[1]")).unwrap_err();
        assert_eq!(error.to_string(), "cannot decode the payload into `u8`");
    }

    #[test]
    fn decodes_what_borrows_and_what_is_raw() {
        let payload = raw(r#""plain text""#);
        assert_eq!(decode::<&str>(&payload).unwrap(), "plain text");
        let same: Box<RawValue> = decode(&payload).unwrap();
        assert_eq!(same.get(), payload.get());
    }
}
