use std::any::type_name;
use std::error::Error;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A payload that is not of the type a handler wants.
///
/// The message names the field by its path, such as `items[2].price`, and says what was expected and what kind of thing
/// was there, never what it was: errors go to logs, where payloads do not belong.
/// As no later attempt will find another payload,
/// a [`HandlerError`](super::HandlerError) made from it leaves the delivery dead.
#[derive(Debug)]
pub struct DecodeError {
    target: &'static str,
    path: String,
    reason: String,
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
            "." => {}
            path => write!(f, " at {path}")?,
        }
        write!(f, ": {}", self.reason)
    }
}

impl Error for DecodeError {}

/// What serde says of a mistake, without the value that it quotes.
pub(super) fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if !error.is_data() {
        // Of the text as JSON: it quotes nothing.
        return text;
    }
    let kept = ["missing field `", "duplicate field `", "invalid length "];
    if kept.iter().any(|begin| text.starts_with(begin)) {
        return text;
    }
    let quoting = [
        "invalid type: ",
        "invalid value: ",
        "unknown variant ",
        "unknown field ",
    ];
    // The last one, as the value may say the same.
    let expected = text.rfind(", expected ").map(|at| &text[at..]);
    match (
        quoting.iter().find(|begin| text.starts_with(**begin)),
        expected,
    ) {
        (Some(begin), Some(expected)) => {
            let rest = &text[begin.len()..];
            let what = &rest[..rest.find(['`', '"', ',']).unwrap_or(0)];
            format!("{begin}{what}").trim_end().to_owned() + expected
        }
        // Of a type that decodes itself, and may quote what it likes.
        _ => format!(
            "its type refuses it at line {} column {}",
            error.line(),
            error.column()
        ),
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
        reason: without_value(error.inner()),
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
        let text = error.to_string();
        let (_, reason) = text.split_once("::Order` at items[2].price: ").unwrap();
        assert_eq!(
            reason,
            "invalid type: string, expected u64 at line 1 column 49"
        );
    }

    #[test]
    fn names_no_path_at_the_root() {
        let error = decode::<u8>(&raw("[1]")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot decode the payload into `u8`: invalid type: sequence, expected u8 at line 1 column 0"
        );
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only decoding is of interest")]
    struct Strict {
        flag: Option<Flag>,
        address: Option<std::net::Ipv4Addr>,
        one: Option<(u8,)>,
        letter: Option<char>,
    }

    #[derive(Debug, Deserialize)]
    enum Flag {
        Up,
    }

    #[test]
    fn says_what_was_expected_and_never_what_was_there() {
        for (json, reason) in [
            (r#"{"flag":"secret"}"#, "unknown variant, expected `Up`"),
            (
                r#"{"flag":"secret, expected `x"}"#,
                "unknown variant, expected `Up`",
            ),
            (
                r#"{"secret":1}"#,
                "unknown field, expected one of `flag`, `address`, `one`, `letter`",
            ),
            (r#"{"address":"secret"}"#, "its type refuses it"),
            (r#"{"address":true}"#, "invalid type: boolean, expected"),
            (r#"{"one":[1,2]}"#, "trailing characters"),
            (
                r#"{"one":["secret\", expected y"]}"#,
                "invalid type: string, expected u8",
            ),
            (
                r#"{"one":[7654321]}"#,
                "invalid value: integer, expected u8",
            ),
            (
                r#"{"one":[-7654321.5]}"#,
                "invalid type: floating point, expected u8",
            ),
            (
                r#"{"letter":"secret"}"#,
                "invalid value: string, expected a character",
            ),
            (
                r#""secret""#,
                "invalid type: string, expected struct Strict",
            ),
        ] {
            let error = decode::<Strict>(&raw(json)).unwrap_err();
            let said = &error.reason;
            assert!(said.starts_with(reason), "{json}: {said}");
            assert!(
                !said.contains("secret") && !said.contains("7654321"),
                "{json}: {said}"
            );
        }
    }

    #[test]
    fn decodes_what_borrows_and_what_is_raw() {
        let payload = raw(r#""plain text""#);
        assert_eq!(decode::<&str>(&payload).unwrap(), "plain text");
        let same: Box<RawValue> = decode(&payload).unwrap();
        assert_eq!(same.get(), payload.get());
    }
}
